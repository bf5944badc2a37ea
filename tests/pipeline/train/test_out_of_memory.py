"""Training that runs out of memory says which setting to change, and that change helps."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.ops.backend import CPU
from gram.system.memory import is_out_of_memory
from gram.training.distributed import Processes
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.config.schema import Config
from pipeline.config.yaml_reading import PROJECT
from pipeline.prepare import stage as prepare
from pipeline.runtime.processes import Team
from pipeline.train.out_of_memory import OutOfMemoryError, explained, remedy

ALONE_ON_CPU = Team(processes=Processes(), device=torch.device("cpu"), backend=CPU)
LIMITED = """
import re, resource, sys
import accelerate, torch  # what training imports late
from pipeline.train import stage as train
from pipeline.cli.command import main

size = int(re.search(r"VmSize:\\s+(\\d+)", open("/proc/self/status").read())[1]) * 1024
limit = size + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(train.STAGE, train.run, sys.argv[2:]))
"""
LARGE = ("experiment=tiny", "data.size=64", "data.identities=8", "tracking=none", "model.hidden=64")
ROOM_MIB = 1700
"""Beside the program itself: enough for eight pictures of 64 x 64 with 12 surfaces, not for sixteen."""


def train(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """Training as a process of its own, which can get no more memory than that."""
    given = [*LARGE, *places(folder), "sampler.points=13", "train.batch_size=16", "train.steps=1", *more]
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(ROOM_MIB), *given],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def places(folder: Path) -> list[str]:
    names = {"train_data": "data", "test_data": "test", "checkpoints": "work", "train": "out"}
    return [f"paths.{option}='{folder / name}'" for option, name in names.items()]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
def test_memory_that_runs_out_is_one_line_of_advice_which_helps(tmp_path: Path) -> None:
    assert main(prepare.STAGE, prepare.run, [*LARGE, *places(tmp_path)]) == 0
    failed = train(tmp_path)
    assert failed.returncode == EXIT_ERROR, failed.stderr
    assert "Traceback" not in failed.stderr
    message = failed.stderr.splitlines()[-1]
    assert message.startswith("train: main memory is not enough for 16 of 16 images at a time")
    assert "python -m pipeline.plan" in message
    advice = re.search(r"set (train\.\w+=\w+)", message)
    assert advice is not None
    assert advice[1] == "train.micro_batch=8"
    assert not (tmp_path / "out/model").exists()

    done = train(tmp_path, advice[1])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model/generator.safetensors").exists()


def advised(config: Config, setting: str) -> Config:
    """The configuration after following the advice."""
    name, value = re.fullmatch(r"train\.(\w+)=(\w+)", setting).groups()  # type: ignore[union-attr]
    setattr(config.train, name, value == "true" if name == "recompute" else int(value))
    return config


def test_advice_goes_from_what_costs_least_to_what_changes_the_result() -> None:
    config = load(["experiment=tiny", "train.batch_size=12"])
    settings: list[str] = []
    which = r"set (train\.\w+=\w+), which does not change"
    while found := re.search(which, remedy(config, share=6, device="cuda")):
        settings.append(found[1].removeprefix("train."))
        config = advised(config, found[1])
    small = ["micro_batch=3", "micro_batch=1", *(f"patches={n}" for n in (2, 4, 8, 16)), "recompute=true"]
    assert settings == small
    assert "train.precision=bf16" in remedy(config, share=6, device="cuda")
    assert "more processes" in remedy(config, share=6, device="cpu")
    config.train.precision = "bf16"
    assert "more processes" in remedy(config, share=6, device="cuda")


def test_every_patch_count_that_is_advised_divides_the_image() -> None:
    config = load(["experiment=tiny", "train.patches=4", "train.micro_batch=1"])
    assert config.data.size**2 % 8 == 0
    assert "train.patches=8" in remedy(config, share=4, device="cpu")


def test_a_micro_batch_larger_than_the_share_counts_as_the_share() -> None:
    config = load(["experiment=tiny", "train.micro_batch=64"])
    assert "train.micro_batch=2," in remedy(config, share=4, device="cpu")


def test_real_failures_are_recognised_and_others_are_not() -> None:
    with pytest.raises(RuntimeError) as torch_error:
        torch.zeros(2**46, dtype=torch.uint8)
    with pytest.raises(MemoryError) as numpy_error:
        np.full(2**46, 1, np.uint8)
    assert is_out_of_memory(torch_error.value)
    assert is_out_of_memory(numpy_error.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    with pytest.raises(RuntimeError) as shapes:
        torch.add(torch.zeros(2), torch.zeros(3))
    assert not is_out_of_memory(shapes.value)
    assert not is_out_of_memory(ValueError("out of memory"))


def test_other_errors_pass_and_the_cause_is_kept() -> None:
    config = load(["experiment=tiny"])
    with pytest.raises(RuntimeError, match="must match"), explained(config, ALONE_ON_CPU):
        torch.add(torch.zeros(2), torch.zeros(3))
    with pytest.raises(OutOfMemoryError) as caught, explained(config, ALONE_ON_CPU):
        torch.zeros(2**46, dtype=torch.uint8)
    assert isinstance(caught.value.__cause__, RuntimeError)
