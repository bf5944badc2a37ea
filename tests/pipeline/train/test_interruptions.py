"""Training that is interrupted at any moment ends in the same model as training that never was."""

import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from training_runs import STEPS, arguments, losses, result, run, start, wait_for_step

from gram.training import checkpoint
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.config.yaml_reading import PROJECT


@pytest.fixture(scope="module")
def straight(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    assert run(data, folder) == 0
    return folder


def newest(folder: Path) -> int | None:
    """Step of the newest checkpoint."""
    (work,) = (path for path in (folder / "checkpoints").iterdir() if path.is_dir())
    return checkpoint.newest_step(work)


def test_killed_before_the_first_checkpoint_and_between_two_gives_the_same_bytes(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    for step in (3, 13):
        process = start(data, tmp_path)
        wait_for_step(tmp_path, step, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)
    assert losses(tmp_path) == losses(straight)


def test_where_the_newest_checkpoint_is_damaged_an_older_one_goes_on_to_the_same_bytes(
    data: list[str], straight: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(data, tmp_path, "train.steps=13") == 0
    first, second = sorted((tmp_path / "checkpoints").glob("*/step-*"))[-2:]
    with (second / "tensors.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    capfd.readouterr()
    assert run(data, tmp_path) == 0
    said = capfd.readouterr().err
    assert f"{second} is damaged, renamed to damaged-{second.name}: using an older one" in said
    assert f"going on from step {int(first.name[5:])} in" in said
    assert result(tmp_path) == result(straight)
    assert losses(tmp_path) == losses(straight)
    assert (second.parent / f"damaged-{second.name}/checkpoint.json").exists()


@pytest.mark.slow
def test_killed_at_random_moments_many_times_gives_the_same_bytes(data: list[str], tmp_path: Path) -> None:
    """A checkpoint every step: many of the moments lie within the writing of one."""
    options = ("train.steps=60", "train.checkpoint_every=1", "train.sample_every=20", "train.keep_every=25")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run(data, whole, *options) == 0
    moments, kills, reached = random.Random(0), 0, 0
    while kills < 8:
        process = start(data, killed, *options)
        wait_for_step(killed, reached + 1, process)
        time.sleep(moments.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
        kills += 1
        reached = newest(killed) or 0
    assert kills >= 4
    assert run(data, killed, *options) == 0
    assert result(killed) == result(whole)
    assert losses(killed) == losses(whole)
    (work,) = (path for path in (killed / "checkpoints").iterdir() if path.is_dir())
    assert sorted(path.name for path in work.glob("step-*")) == [f"step-{s:08d}" for s in (25, 50, 59, 60)]


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGTERM, EXIT_REQUEUE), (signal.SIGUSR1, EXIT_REQUEUE), (signal.SIGINT, EXIT_INTERRUPTED)],
)
def test_a_signal_writes_a_checkpoint_exits_with_the_documented_code_and_resumes(
    data: list[str], straight: Path, tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    process = start(data, tmp_path, "train.checkpoint_every=1000")
    wait_for_step(tmp_path, 4, process)
    process.send_signal(sent)
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert f"of {STEPS}; run again to go on" in errors
    assert not (tmp_path / "out/model").exists()
    assert newest(tmp_path) == losses(tmp_path)[-1][0]
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)


@pytest.fixture(scope="module")
def store_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Of MLflow's store, made once."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.mark.parametrize(
    ("before", "error", "status"),
    [("provenance.tags", None, "KILLED"), ("Observer", None, "KILLED"), ("Observer", OSError, "FAILED")],
)
def test_a_run_that_ends_before_its_loop_is_killed_by_a_signal_and_failed_by_an_error(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str,
    before: str, error: type[Exception] | None, status: str,
) -> None:  # fmt: skip
    tracking = pytest.importorskip("mlflow.tracking")

    def end(*_: object, **__: object) -> None:
        if error is not None:
            raise error("no room")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(f"pipeline.train.stage.{before}", end)
    recorded = ("tracking=mlflow", f"tracking.uri={store_uri}", f"tracking.experiment={tmp_path.name}")
    code = run(data, tmp_path, *recorded)
    assert code == (EXIT_ERROR if error else 128 + signal.SIGTERM)
    client = tracking.MlflowClient(store_uri)
    (made,) = client.search_runs([client.get_experiment_by_name(tmp_path.name).experiment_id])
    assert made.info.status == status
    assert made.info.end_time is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for one checkpoint and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_reported_and_the_checkpoint_before_it_is_intact(
    data: list[str], straight: Path, small_disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ballast = small_disk / "ballast"
    places = (f"paths.checkpoints='{small_disk}/checkpoints'",)
    assert run(data, tmp_path, *places, "train.steps=5") == 0
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 20_000))
    assert run(data, tmp_path, *places, "--force") == EXIT_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert "checkpoint of step 10 cannot be written" in message
    assert "No space left on device" in message
    assert "the one of step 5 is intact: make room and run again" in message
    ballast.unlink()
    assert run(data, tmp_path, *places) == 0
    assert result(tmp_path) == result(straight)


def test_a_limit_on_the_size_of_files_is_reported_like_a_full_disk(
    data: list[str], straight: Path, tmp_path: Path
) -> None:
    """Quotas act like this; it needs no rights to try."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))

    command = [sys.executable, "-m", "pipeline.train", *arguments(data, tmp_path)]
    done = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=False, preexec_fn=limit, timeout=60
    )
    assert done.returncode == EXIT_ERROR
    assert "the checkpoint of step 5 cannot be written" in done.stderr
    assert "none is left: make room and run again" in done.stderr
    assert run(data, tmp_path) == 0
    assert result(tmp_path) == result(straight)
