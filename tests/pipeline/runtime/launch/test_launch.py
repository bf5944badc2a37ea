"""Training on many processes and machines: killed, stopped, and in the end as if it never had been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from machines import Machines, all_gone, below, free_port, two_machines
from training_runs import (
    STEPS,
    arguments,
    end,
    killed_at_the_end,
    losses,
    result,
    run,
    start,
    wait_for_step,
)

from gram.training import checkpoint
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_REQUEUE
from pipeline.config.loader import load
from pipeline.config.pinned import pinned
from pipeline.config.presets import CONF, presets_of
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.launch import start as launch

TWO = "train.launch.processes=2"


def work_folder(folder: Path) -> Path:
    (found,) = (path for path in (folder / "checkpoints").iterdir() if path.is_dir())
    return found


@pytest.mark.slow
def test_the_stage_itself_starts_its_processes(straight_on_two: Path) -> None:
    saved = checkpoint.read_newest(work_folder(straight_on_two))
    assert saved is not None
    assert saved.conditions["processes"] == 2
    assert [step for step, _ in losses(straight_on_two)] == list(range(1, STEPS + 1))


def start_on(
    machines: Machines, rank: int, port: int, data: list[str], folder: Path
) -> subprocess.Popen[str]:
    """Training on one of two machines, with a worker each."""
    options = ["machines=2", f"machine_rank={rank}", f"main_address={machines.address}"]
    options += [f"main_port={port}", "max_restarts=1"]
    trained = arguments(data, folder / str(rank), *(f"train.launch.{option}" for option in options))
    command = [*machines.prefixes[rank], sys.executable, "-m", "pipeline.train", *trained]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_machines_train_together_and_outlive_a_killed_worker(
    data: list[str], straight_on_two: Path, tmp_path: Path
) -> None:
    port = free_port()
    with (
        two_machines() as machines,
        killed_at_the_end(start_on(machines, 1, port, data, tmp_path)) as second,
        killed_at_the_end(start_on(machines, 0, port, data, tmp_path)) as first,
    ):
        wait_for_step(tmp_path / "0", 8, first)
        (worker,) = below(second, "pipeline.train")
        worker.kill()
        ends = [end(second), end(first)]
        assert [code for code, _ in ends] == [0, 0]
        for (_, messages), rank in zip(ends, (1, 0), strict=True):
            assert f"train: machine {rank} of 2 waits for the others at {machines.address}:{port}" in messages
    assert result(tmp_path / "0") == result(straight_on_two)
    assert losses(tmp_path / "0") == losses(straight_on_two)
    assert not (tmp_path / "1").exists(), "machine 0 alone writes files"


@pytest.mark.slow
def test_the_first_worker_killed_in_the_middle_is_started_again_and_the_model_is_the_same(
    data: list[str], straight_on_two: Path, tmp_path: Path
) -> None:
    process = start(data, tmp_path, TWO, "train.launch.max_restarts=1")
    with killed_at_the_end(process):
        wait_for_step(tmp_path, 8, process)
        lock = work_folder(tmp_path) / "lock"
        os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
        code, messages = end(process)
    assert code == 0, messages
    assert "process 1: lost another process" in messages
    assert "going on from step 5" in messages
    assert "Traceback" not in messages
    assert result(tmp_path) == result(straight_on_two)


@pytest.mark.slow
def test_no_process_is_left_behind_when_launchers_are_killed(data: list[str], tmp_path: Path) -> None:
    """The kernel kills the launcher as its parent is gone, and the workers as their launcher is."""
    process = start(data, tmp_path, TWO, "train.steps=100000", "train.launch.max_restarts=3")
    with killed_at_the_end(process):
        wait_for_step(tmp_path, 1, process)
        (launcher,) = below(process, "pipeline.runtime.launch.workers")
        workers = below(process, "pipeline.train")
        assert len(workers) == 2
        process.kill()
        assert all_gone([launcher, *workers])


@pytest.mark.slow
def test_sigterm_ends_with_a_checkpoint_and_the_same_command_ends_in_the_same_bytes(
    data: list[str], straight_on_two: Path, tmp_path: Path
) -> None:
    options = (TWO, "train.checkpoint_every=1000", "train.launch.max_restarts=1")
    process = start(data, tmp_path, *options)
    wait_for_step(tmp_path, 4, process)
    process.send_signal(signal.SIGTERM)
    code, messages = end(process)
    assert code == EXIT_REQUEUE, messages
    assert f"of {STEPS}; run again to go on" in messages
    assert "Traceback" not in messages
    assert checkpoint.newest_step(work_folder(tmp_path)) == losses(tmp_path)[-1][0] < STEPS
    code, messages = end(start(data, tmp_path, *options))
    assert code == 0, messages
    assert result(tmp_path) == result(straight_on_two)
    assert losses(tmp_path) == losses(straight_on_two)


@pytest.mark.slow
def test_accelerates_own_command_trains_with_the_file_for_two_cpu_processes(
    data: list[str], straight_on_two: Path, tmp_path: Path
) -> None:
    file = CONF / "accelerate/two_cpu_processes.yaml"
    command = yaml_command(file)
    assert command[:2] == ["accelerate", "launch"]
    command[0] = str(Path(sys.executable).parent / "accelerate")
    process = subprocess.Popen(
        [*command, *arguments(data, tmp_path)], cwd=PROJECT, stderr=subprocess.PIPE, text=True
    )
    code, messages = end(process)
    assert code == 0, messages
    assert result(tmp_path) == result(straight_on_two)


def yaml_command(file: Path) -> list[str]:
    """The command that a file of conf/accelerate opens with."""
    return file.read_text().splitlines()[0].removeprefix("# ").split()


@pytest.mark.parametrize("name", ["one_gpu", "eight_gpus", "two_by_eight_gpus", "two_cpu_processes"])
def test_accelerate_accepts_the_command_that_each_file_opens_with(name: str) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    assert presets_of("accelerate") == ["eight_gpus", "one_gpu", "two_by_eight_gpus", "two_cpu_processes"]
    file = CONF / "accelerate" / f"{name}.yaml"
    accelerate, launches, *options = yaml_command(file)
    assert (accelerate, launches) == ("accelerate", "launch")
    assert options[:2] == ["--config_file", f"conf/accelerate/{name}.yaml"]
    options[1] = str(file)
    parsed, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(options))
    assert defaults is not None
    stated = yaml.safe_load(file.read_text())
    assert defaults.to_dict().items() >= {k: v for k, v in stated.items() if k != "dynamo_config"}.items()
    assert (parsed.num_processes, parsed.num_machines) == (stated["num_processes"], stated["num_machines"])
    assert parsed.multi_gpu == (stated["num_processes"] > 1)
    assert (parsed.training_script, parsed.module) == ("pipeline.train", True)
    trained = load(parsed.training_script_args).train
    assert trained.batch_size % parsed.num_processes == 0


@pytest.mark.parametrize("experiment", presets_of("experiment"))
def test_workers_get_the_very_configuration(experiment: str, tmp_path: Path) -> None:
    config = load(
        [
            f"experiment={experiment}",
            "train.lr_manifold=1e-7",
            "paths.train='a b/c'",
            "train.launch.processes=3",
        ]
    )
    (tmp_path / "params.yaml").write_text(pinned(config))
    assert load(params=tmp_path / "params.yaml", own=True) == config


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["machines=2", "machine_rank=2", "main_port=29500"], "ranks are 0 to 1"),
        (
            ["machine_rank=5"],
            "machine_rank = 5, but train.launch.machines = 1: ranks are 0 alone",
        ),
        (
            ["processes=2", "main_address=nowhere.invalid"],
            "main_address = nowhere.invalid: this name does not resolve",
        ),
        (["machines=2"], "machines = 2 with main_port = 0: machines need a port that all know"),
        (["processes=3"], "train.batch_size = 4 cannot be divided evenly among 1 x 3 processes"),
        (["machines=4", "processes=2", "main_port=29500"], "choose a multiple of 8"),
    ],
)
def test_what_cannot_be_launched_is_refused_before_anything_is_started(
    options: list[str], message: str, data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, *(f"train.launch.{option}" for option in options)) == EXIT_ERROR
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_more_processes_than_gpus_are_refused(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2**36, 2**36))
    assert run(data, tmp_path, TWO) == EXIT_ERROR
    message = "train.launch.processes = 2, but torch sees 1 GPUs on this machine"
    assert message in capsys.readouterr().err


def test_a_worker_starts_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.setenv(name, "0")
    assert launch.run(load([TWO])) is None


def test_cores_are_shared_out_unless_threads_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    for options, threads in ((["processes=3"], 2), (["processes=16"], 1), (["processes=2"], 4)):
        config = load(["train.threads=0", *(f"train.launch.{option}" for option in options)])
        assert launch._environment(config, torch.device("cpu"))["OMP_NUM_THREADS"] == str(threads)
    config = load(["train.threads=5", TWO])
    assert launch._environment(config, torch.device("cpu"))["OMP_NUM_THREADS"] == "5"
    config = load(["train.threads=5", TWO, "train.launch.machines=2"])
    assert given(launch._options(config), "num_cpu_threads_per_process") == "5"


def given(options: list[str], name: str) -> str:
    return options[options.index(f"--{name}") + 1]


def test_the_first_machine_comes_first_and_hosts_the_meeting() -> None:
    order = []
    for rank in (0, 1, 2, 10):
        config = load(["train.launch.machines=11", f"train.launch.machine_rank={rank}"])
        order.append(launch._environment(config, torch.device("cpu"))["PET_LOCAL_ADDR"])
        assert f"is_host={int(rank == 0)}," in given(launch._options(config), "rdzv_conf")
    assert order == sorted(order)
    assert order[0] == "127.0.0.1"


def test_gloo_is_told_the_interface_that_leads_to_the_first_machine() -> None:
    assert launch._interface("127.0.0.1") == "lo"
    assert launch._interface("no.such.host.invalid") is None


def test_the_name_of_machine_0_may_become_known_while_others_wait(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def look_up(name: str, port: object) -> None:
        asked.append(name)
        if len(asked) < 3:
            raise OSError("not known")

    monkeypatch.setattr("pipeline.runtime.launch.start.socket.getaddrinfo", look_up)
    places = ["machines=2", "main_port=29500", "main_address=gram-0.gram"]
    config = load(["experiment=tiny", *(f"train.launch.{place}" for place in places)])
    launch.check(config, torch.device("cpu"))
    assert asked == ["gram-0.gram"] * 3
    assert capsys.readouterr().err.count("gram-0.gram (train.launch.main_address) does not resolve yet") == 1


def test_a_name_server_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.runtime.launch.start.socket.getaddrinfo", lambda name, port: time.sleep(60))
    monkeypatch.setattr("pipeline.runtime.launch.start.ADDRESS_SECONDS", 1)
    config = load(["experiment=tiny", "train.launch.processes=2", "train.launch.main_address=slow"])
    start = time.monotonic()
    with pytest.raises(ValueError, match=r"main_address = slow: this name does not resolve"):
        launch.check(config, torch.device("cpu"))
    assert time.monotonic() - start < 10
