"""Several processes train as one does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_discriminator, build_generator
from gram.training.batches import EpochSampler
from gram.training.distributed import Processes
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, train_step
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime import build
from pipeline.runtime.processes import join
from pipeline.runtime.scene import open_dataset
from pipeline.train import stage as train

OPTIONS = ("experiment=tiny", "tracking=none", "train.batch_size=8", "train.steps=5", "train.threads=1")


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    return [*OPTIONS, *data, f"paths.checkpoints='{folder}/c'", f"paths.train='{folder}/out'", *more]


def launch(data: list[str], folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """The same on two processes."""
    command = [sys.executable, "-m", "pipeline.train", *arguments(data, folder, *more)]
    return subprocess.run(
        [*command, "train.launch.processes=2"],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def losses(folder: Path) -> list[dict[str, float]]:
    records = [json.loads(line) for line in (folder / "out/metrics.jsonl").read_text().splitlines()]
    changing = ("time", "images_per_second", "memory_gib")
    return [{k: v for k, v in record.items() if k not in changing} for record in records]


def weights(folder: Path) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for name in ("generator", "discriminator"):
        tensors = safetensors.torch.load_file(folder / f"out/model/{name}.safetensors")
        found |= {f"{name}.{key}": value for key, value in tensors.items()}
    return found


@pytest.fixture(scope="module")
def alone(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    assert main(train.STAGE, train.run, arguments(data, folder)) == 0
    return folder


@pytest.fixture(scope="module")
def two(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("two")
    done = launch(data, folder)
    assert done.returncode == 0, done.stderr
    return folder


def require_equal(found: Path, expected: Path) -> None:
    """Losses and weights within 1e-5."""
    assert len(losses(found)) == len(losses(expected)) == 5
    for ours, theirs in zip(losses(found), losses(expected), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5, abs=1e-5)
    for name, value in weights(expected).items():
        torch.testing.assert_close(weights(found)[name], value, rtol=0, atol=1e-5, msg=name)


def test_two_processes_train_as_one_with_the_whole_batch(alone: Path, two: Path) -> None:
    require_equal(two, alone)


@pytest.mark.parametrize(
    "cut", ["train.micro_batch=4", "train.micro_batch=3", "train.patches=4", "train.recompute=true"]
)
def test_cutting_the_work_trains_as_the_whole(data: list[str], alone: Path, tmp_path: Path, cut: str) -> None:
    assert main(train.STAGE, train.run, arguments(data, tmp_path, cut)) == 0
    require_equal(tmp_path, alone)


def test_two_processes_that_cut_their_work_train_as_one(data: list[str], alone: Path, tmp_path: Path) -> None:
    done = launch(data, tmp_path, "train.micro_batch=2", "train.patches=2")
    assert done.returncode == 0, done.stderr
    require_equal(tmp_path, alone)


def test_training_goes_on_with_another_number_of_processes_and_says_so(
    data: list[str], alone: Path, tmp_path: Path
) -> None:
    assert main(train.STAGE, train.run, arguments(data, tmp_path, "train.steps=2")) == 0
    done = launch(data, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "going on from step 2" in done.stderr
    assert "processes 2, not 1: results will be equivalent, but not bit" in done.stderr
    require_equal(tmp_path, alone)


def test_one_process_alone_speaks_and_writes(two: Path) -> None:
    assert [record["step"] for record in losses(two)] == [1, 2, 3, 4, 5]


def test_a_batch_that_processes_cannot_share_is_refused(data: list[str], tmp_path: Path) -> None:
    done = launch(data, tmp_path, "train.batch_size=7")
    assert done.returncode != 0
    assert "train.batch_size = 7 cannot be divided evenly" in done.stderr
    assert "choose a multiple of 2" in done.stderr
    assert not (tmp_path / "out/model").exists()


def test_images_that_cannot_be_cut_are_refused(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train.STAGE, train.run, arguments(data, tmp_path, "train.patches=3")) == EXIT_ERROR
    assert "16 x 16 pixels cannot be cut into 3 equal patches" in capsys.readouterr().err


def test_fp16_on_a_cpu_is_refused(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(train.STAGE, train.run, arguments(data, tmp_path, "train.precision=fp16")) == EXIT_ERROR
    assert "train.precision = fp16 needs a GPU: use bf16 or no" in capsys.readouterr().err
    assert main(train.STAGE, train.run, arguments(data, tmp_path, "train.precision=bf16")) == 0


class Silent(Processes):
    """One of two, without the other."""

    def average(self, tensors: object) -> None:
        del tensors


def test_processes_see_different_latents_and_pictures_that_make_up_the_batch(
    data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = TrainingSettings(batch_size=4, lr_generator=0.0, lr_discriminator=0.0, lr_manifold=0.0)
    config = load([*OPTIONS, *data])
    dataset = open_dataset(config.paths.train_data, config.data)
    reals = Reals(images=dataset.load_images(), poses=dataset.poses)
    model = build.model_settings(config, dataset.meta)
    seen: dict[str, tuple[Tensor, Tensor]] = {}

    def step(processes: Processes) -> tuple[Tensor, Tensor]:
        def record(_state, images, _poses, fakes, *_rest):
            seen["now"] = (images, fakes)
            return {}

        monkeypatch.setattr("gram.training.step.discriminator_step", record)
        torch.manual_seed(0)
        state = TrainingState(build_generator(model), build_discriminator(model), settings)
        order = EpochSampler(len(reals.images), 4, seed=0)
        train_step(state, reals, GaussianPoses(), order, settings, processes)
        return seen["now"]

    whole, *parts = (step(p) for p in (Processes(), Silent(rank=0, size=2), Silent(rank=1, size=2)))
    for k in range(2):
        torch.testing.assert_close(torch.cat([part[k] for part in parts]), whole[k], rtol=1e-5, atol=1e-6)
    assert not torch.equal(parts[0][1], parts[1][1])


def test_joining_twice_with_another_precision_works(data: list[str]) -> None:
    for precision in ("no", "bf16", "no"):
        with join(load([*OPTIONS, *data, f"train.precision={precision}"])) as team:
            assert team.is_first
            assert team.processes == Processes()
