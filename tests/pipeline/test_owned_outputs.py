"""Every stage stops before it works where its place is somebody else's, or another process is at it."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_killed_stages import PLACES, SMALL
from training_runs import killed_at_the_end

from gram.data.reader import ImageDataset
from pipeline import noise
from pipeline.cli.command import main
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.cli.stage import Stage
from pipeline.config.yaml_reading import PROJECT
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.pack import stage as pack
from pipeline.prepare import stage as prepare
from pipeline.report import stage as report
from pipeline.train import stage as train

STAGES = {"prepare": prepare, "train": train, "evaluate": evaluate, "export": export, "noise": noise}
OWN = {
    "prepare": ("data/train/photos/me.png", "data/test/notes.txt"),
    "train": ("runs/train/model/mine.pt", "runs/train/best/mine.pt", "runs/train/curves.csv"),
    "evaluate": ("runs/evaluate/metrics.json",),
    "export": ("runs/export/seed_0000.png",),
    "noise": ("runs/noise/noise.json",),
}
PATIENCE = 120


def arguments(folder: Path, *more: str) -> list[str]:
    return [*SMALL, *(f"paths.{name}='{folder}/{place}'" for name, place in PLACES.items()), *more]


def run(stage: str, folder: Path, *more: str) -> int:
    return main(STAGES[stage].STAGE, STAGES[stage].run, arguments(folder, *more))


def start(stage: str, folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"pipeline.{stage}", *arguments(folder, *more)]
    return subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("stage", "name"), [(stage, name) for stage, names in OWN.items() for name in names])
def test_a_user_s_file_stops_the_stage_before_any_work(
    stage: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no model and no data either: nobody has looked for them."""
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("mine")
    assert run(stage, tmp_path) == EXIT_ERROR
    (message,) = capsys.readouterr().err.splitlines()
    assert re.search(r"holds [\w./]+, which this program did not write, and which would be lost", message)
    assert Path(name).name in message
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(
    ("stage", "run", "place", "flags"),
    [
        (report.STAGE, report.run, "runs/report.html", ()),
        (pack.STAGE, pack.run, "mine/a.txt", ("--to", "mine")),
    ],
    ids=["report", "pack"],
)
def test_a_user_s_page_and_folder_are_left_alone(
    stage: Stage, run: object, place: str, flags: tuple[str, ...], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_text("mine")
    given = [flag.replace("mine", f"{tmp_path}/mine") for flag in flags]
    assert main(stage, run, arguments(tmp_path, *given)) == EXIT_ERROR  # type: ignore[arg-type]
    assert "which this program did not write" in capsys.readouterr().err
    assert (tmp_path / place).read_text() == "mine"


def test_pictures_of_one_s_own_in_the_place_of_the_data_survive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a data set, and within one that was prepared."""
    assert run("prepare", tmp_path) == 0
    prepared = tmp_path / "data/train"
    mine = prepared / "images/00000/mine.png"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(mine)
    assert run("prepare", tmp_path) == EXIT_ERROR
    assert "holds images/00000/mine.png" in capsys.readouterr().err
    mine.unlink()
    for name in ("meta.json", ".gram-output.json"):
        (prepared / name).unlink()
    assert run("prepare", tmp_path) == EXIT_ERROR
    assert len(ImageDataset(prepared)) == 24


def test_a_source_within_the_place_of_the_data_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", tmp_path) == 0
    mine = tmp_path / "data/train/mine"
    (tmp_path / "data/test").rename(mine)
    given = ("data=images", f"data.path='{mine}'", "data.size=16")
    assert run("prepare", tmp_path, *given) == EXIT_ERROR
    assert "is where the prepared data goes: move your images elsewhere" in capsys.readouterr().err
    assert len(ImageDataset(mine)) == 6


def test_a_second_prepare_is_refused_and_the_first_one_s_data_are_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with killed_at_the_end(start("prepare", tmp_path, "data.identities=100")) as first:
        wait_for(tmp_path / "data/.test.lock", first)
        assert run("prepare", tmp_path) == EXIT_ERROR
        told = rf"data/train is in use by process {first.pid} \(prepare\) on .*, since .*: wait for it, or"
        assert re.search(told, capsys.readouterr().err)
        _, messages = first.communicate(timeout=PATIENCE)
        assert first.returncode == 0, messages
    dataset = ImageDataset(tmp_path / "data/train")
    assert (len(dataset), dataset.compute_content_hash()) == (100, dataset.meta.content_hash)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["test", "train"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if (done := subprocess.run(mount, capture_output=True, check=False)).returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_with_what_was_written_and_the_old_data_stay(
    small_disk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", small_disk, "data.identities=4") == 0
    before = ImageDataset(small_disk / "data/train").content_hash
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - 30_000))
    assert run("prepare", small_disk, "data.seed=1") == EXIT_ERROR
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"^prepare: .*data/.* cannot be written \(No space left on device\): make room", message)
    assert ImageDataset(small_disk / "data/train").compute_content_hash() == before
    assert sorted(path.name for path in (small_disk / "data").iterdir()) == ["test", "train"]


def test_what_is_trained_on_and_published_is_one_process_s_until_that_is_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", tmp_path) == 0
    with killed_at_the_end(start("train", tmp_path, "train.steps=100000", "train.log_every=1")) as first:
        wait_for(tmp_path / "runs/train/metrics.jsonl", first)
        capsys.readouterr()
        for stage, more, place in (
            ("prepare", ("data.seed=1",), "data/train"),
            ("train", ("train.steps=100000",), "checkpoints"),
            ("train", ("seed=1",), "runs/train"),
        ):
            assert run(stage, tmp_path, *more) == EXIT_ERROR
            told = capsys.readouterr().err
            assert re.search(rf"/{place}[^ ]* is in use by process {first.pid} \(train\) on ", told), told
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert run("train", tmp_path, "seed=1") == 0
    assert run("prepare", tmp_path, "data.seed=1") == 0
    assert len(list((tmp_path / "runs/train/model").glob("*.safetensors"))) == 2
