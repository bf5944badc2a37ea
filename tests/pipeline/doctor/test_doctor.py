"""The doctor finds what would keep training from working, says what to do, and touches nothing."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.data.reader import ImageDataset
from gram.data.writer import DatasetWriter
from gram.ops.backend import LEAN, TRITON
from gram.training.state import TrainingState
from pipeline.cli.command import main
from pipeline.cli.console import write
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.doctor import machine, sockets, storage
from pipeline.doctor import processes as together
from pipeline.doctor import stage as doctor
from pipeline.doctor.dataset import COLUMNS, ROWS, drawn
from pipeline.doctor.findings import Caution, Fact, Finding, Problem, report
from pipeline.doctor.storage import checkpoint_bytes
from pipeline.runtime import build, scene
from pipeline.tracking.mlflow import store
from pipeline.train import checkpoints
from pipeline.train import stage as train

OPTIONS = ("experiment=tiny", "tracking=none")
Report = tuple[int, str]


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    return [
        *OPTIONS,
        *data,
        f"paths.checkpoints='{folder}/checkpoints'",
        f"paths.train='{folder}/out'",
        *more,
    ]


def at(folder: Path) -> list[str]:
    """Arguments that name data in a folder."""
    return [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]


def examined(capsys: pytest.CaptureFixture[str], given: list[str]) -> Report:
    """Exit code and report."""
    capsys.readouterr()
    code = main(doctor.STAGE, doctor.run, given)
    return code, capsys.readouterr().out


def section(text: str, title: str) -> str:
    """What stands below a title."""
    (found,) = re.findall(rf"^{title}\n(.*?)\n(?=\n|\Z)", text, re.DOTALL | re.MULTILINE)
    return found


def wrong(text: str) -> list[str]:
    """Titles of the sections that have a problem."""
    last = text.splitlines()[-1]
    if last.startswith("Nothing is wrong"):
        return []
    return re.sub("Something is wrong: |;.*", "", last).split(", ")


def copy(data: list[str], folder: Path, names: list[int]) -> Path:
    """A sound data set of some of the pictures of another one."""
    dataset = ImageDataset(load([*OPTIONS, *data]).paths.train_data)
    with DatasetWriter(folder / "train", size=dataset.size, fov=dataset.meta.fov) as writer:
        for number, index in enumerate(names):
            pixels, pose = dataset[index][0], dataset[number][1].tolist()
            writer.add(pixels.permute(1, 2, 0).numpy(), (pose[0], pose[1]), identity=number)
        meta = dataset.meta
        writer.finish(
            kind="heads", near=meta.near, far=meta.far, background="plane", split="train", licence="CC0-1.0"
        )
    return folder


def test_a_healthy_project_has_nothing_wrong_and_every_section(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = examined(capsys, arguments(data, tmp_path))
    assert code == 0
    assert wrong(text) == []
    assert torch.__version__ in section(text, "Versions")
    assert "cores" in section(text, "Devices")
    assert "24 of 16 x 16" in section(text, "Data set")
    assert "24 of 24 images" in section(text, "Images")
    assert "yaw" in section(text, "Cameras")
    training = section(text, "Training")
    assert "new run, 4 steps" in training
    assert "4 images, 4 at a time" in training


def test_looking_changes_nothing(data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def everything() -> dict[Path, bytes]:
        files = [*Path(load([*OPTIONS, *data]).paths.train_data).rglob("*"), *tmp_path.rglob("*")]
        return {path: path.read_bytes() if path.is_file() else b"" for path in files}

    before = everything()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    code, text = examined(capsys, arguments(data, tmp_path, "tracking=mlflow", f"tracking.uri='{uri}'"))
    assert (code, wrong(text)) == (0, [])
    assert "none yet" in section(text, "Tracking")
    assert everything() == before


def test_without_data_it_says_how_to_make_them_and_still_describes_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = examined(capsys, arguments(at(tmp_path), tmp_path))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Data set"])
    assert "python -m pipeline.prepare" in section(text, "Data set")
    assert "parameters" in section(text, "Training")


def test_kernels_that_do_not_run_are_wrong_and_can_be_done_without(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setattr(machine, "backend_of", lambda device, kernels: TRITON if kernels else LEAN)
    code, text = examined(capsys, arguments(data, tmp_path))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Devices"])
    assert "Triton's kernels do not work here (RuntimeError: 0 active drivers" in section(text, "Devices")
    assert "train.kernels=false" in section(text, "Devices")
    assert examined(capsys, arguments(data, tmp_path, "train.kernels=false"))[0] == 0


def test_every_damaged_picture_is_named(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy(data, tmp_path, list(range(6)))
    for number in (2, 4):
        image = tmp_path / f"train/images/00000/img0000000{number}.png"
        image.write_bytes(image.read_bytes()[:60])
    code, text = examined(capsys, arguments(at(tmp_path), tmp_path))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Images"])
    pictures = section(text, "Images")
    assert "4 of 6 images" in pictures
    assert "img00000002.png" in pictures
    assert "img00000004.png" in pictures
    assert "pipeline.prepare" in pictures


def test_copies_are_named_and_no_reason_to_fail(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy(data, tmp_path, [0, 1, 2, 1])
    code, text = examined(capsys, arguments(at(tmp_path), tmp_path))
    assert (code, wrong(text)) == (0, [])
    assert "img00000003.png is images/00000/img00000001.png again" in section(text, "Images")


def test_a_picture_that_was_replaced_is_noticed(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = copy(data, tmp_path, list(range(4))) / "train/images/00000"
    (images / "img00000003.png").write_bytes((images / "img00000001.png").read_bytes())
    code, text = examined(capsys, arguments(at(tmp_path), tmp_path))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Images"])
    assert "changed after meta.json was written" in section(text, "Images")


def test_data_of_another_configuration_are_wrong(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = examined(capsys, arguments(data, tmp_path, "data.size=32"))
    assert code == EXIT_ERROR
    assert "Data set" in wrong(text)
    assert "asks for heads of 32 x 32" in section(text, "Data set")


def test_it_foretells_where_training_goes_on(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, text = examined(capsys, arguments(data, tmp_path))
    foretold = re.search(r"checkpoints in (\S+)", section(text, "Training"))
    assert foretold is not None
    assert main(train.STAGE, train.run, arguments(data, tmp_path)) == 0
    (folder,) = (tmp_path / "checkpoints").iterdir()
    assert foretold[1] == str(folder)

    code, text = examined(capsys, arguments(data, tmp_path, "train.steps=100"))
    assert code == 0
    assert f"from step 4 of 100: {folder}/step-00000004 is intact and fits" in section(text, "Training")
    assert re.search(r"time +\d+:\d\d for 384 images, at the last speed of [\d.]+ images/s", text)

    expected = checkpoint_bytes(new_state())
    assert expected == pytest.approx((folder / "step-00000004/tensors.safetensors").stat().st_size, rel=0.2)

    with checkpoints.work_folder(tmp_path / "checkpoints", folder.name, steps=100):
        _, text = examined(capsys, arguments(data, tmp_path, "train.steps=100"))
    assert f"process {os.getpid()} trains there now" in section(text, "Training")

    tensors = folder / "step-00000004/tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    code, text = examined(capsys, arguments(data, tmp_path, "train.steps=100"))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Training"])


def new_state() -> TrainingState:
    config = load(OPTIONS)
    return build.training_state(config, scene.planned_meta(config.data), torch.device("cpu"))


@pytest.mark.parametrize(
    ("argument", "title", "message"),
    [
        ("paths.checkpoints=/proc/checkpoints", "Disks", "/proc cannot be written"),
        ("train.keep_checkpoints=1000000", "Disks", "lower train.keep_checkpoints"),
        ("train.launch.processes=3", "Processes", "choose a multiple of 3"),
        ("train.patches=3", "Training", "choose a divisor of 256"),
        ("train.precision=fp16", "Devices", "train.precision=bf16 or train.precision=no"),
    ],
)
def test_what_cannot_work_is_wrong_and_has_a_remedy(
    argument: str,
    title: str,
    message: str,
    data: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, text = examined(capsys, arguments(data, tmp_path, argument))
    assert code == EXIT_ERROR
    assert title in wrong(text)
    assert message in section(text, title)


def test_a_server_that_does_not_answer_is_wrong(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"tracking.uri=http://127.0.0.1:{port}"
    code, text = examined(capsys, arguments(data, tmp_path, "tracking=mlflow", uri))
    assert (code, wrong(text)) == (EXIT_ERROR, ["Tracking"])
    tracking = section(text, "Tracking")
    assert f"no tracking server answers at 127.0.0.1:{port}" in tracking
    assert "tracking=none" in tracking


def test_a_store_that_is_there_is_reached_and_not_written(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    config = load(["experiment=tiny", f"tracking.uri='{uri}'"]).tracking
    client = store.open_store(config)
    given = arguments(data, tmp_path, "tracking=mlflow", f"tracking.uri='{uri}'")
    assert "reachable" in section(examined(capsys, given)[1], "Tracking")
    code, text = examined(capsys, [*given, "tracking.experiment=another"])
    assert code == 0
    assert "none yet of experiment another" in section(text, "Tracking")
    assert client.get_experiment_by_name("another") is None


def test_another_place_is_named_in_the_form_that_its_option_takes(
    data: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "_unusable", lambda place: "cannot be written")
    uri = f"tracking.uri='sqlite:///{tmp_path}/mlflow.db'"
    found = list(storage.disks(load(arguments(data, tmp_path, "tracking=mlflow", uri))))
    told = " ".join(one.remedy for one in found if isinstance(one, Problem))
    for form in ("paths.train=FOLDER", "tracking.uri=sqlite:////FOLDER/mlflow.db"):
        assert f"choose another place: {form}" in told
        load([form.replace("FOLDER", "somewhere")])


def test_a_copy_without_git_is_noted_unless_dvc_is_told(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    shutil.copyfile(PROJECT / ".dvc/config", tmp_path / ".dvc/config")
    (note,) = machine.without_git(tmp_path)
    assert isinstance(note, Caution)
    assert f"{tmp_path} is no git repository" in note.text
    assert "dvc config --local core.no_scm true" in note.text
    (tmp_path / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert list(machine.without_git(tmp_path)) == []
    (tmp_path / ".dvc/config.local").unlink()
    (tmp_path / ".git").mkdir()
    assert list(machine.without_git(tmp_path / "inside")) == []


@pytest.mark.parametrize(("machines", "port"), [(1, ""), (2, "at port 29555 (train.launch.main_port)")])
def test_the_port_that_several_machines_would_open_is_noted(machines: int, port: str) -> None:
    launched = [f"train.launch.machines={machines}", "train.launch.main_port=29555"]
    findings = list(sockets.planned(load(["experiment=tiny", *launched])))
    assert [type(finding) for finding in findings] == [Caution if port else Fact]
    assert port in findings[0].text


def test_a_file_of_runs_is_noted_where_several_machines_train(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(data, tmp_path, "tracking=mlflow", "train.launch.machines=2")
    _, text = examined(capsys, given)  # without a port, the machines cannot meet
    assert wrong(text) == ["Processes"]
    assert "main_port = 0" in section(text, "Processes")
    assert "mlflow server" in section(text, "Tracking")


ACCELERATE = [
    "accelerate.commands.launch", "--multi_gpu", "--num_machines=1", "--num_processes=2",
    "--main_process_port=0", "--mixed_precision=no", "--dynamo_backend=no",
    "--num_cpu_threads_per_process=1", "-m",
]  # fmt: skip


@pytest.mark.parametrize(
    ("launcher", "more", "listening"),
    [
        (ACCELERATE, [], "run any program sent to them"),
        ([], ["train.launch.processes=2"], "on loopback alone\n"),
    ],
    ids=["accelerate", "own"],
)
def test_two_processes_meet_average_and_tell_what_they_have_open(
    launcher: list[str], more: list[str], listening: str, data: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *launcher, "pipeline.doctor", *arguments(data, tmp_path, *more)],
        cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Versions\n") == 1
    processes = section(done.stdout, "Processes")
    assert f"process 1          {socket.gethostname()}, cpu" in processes
    assert "correct on every process" in processes
    assert "through gloo" in processes
    assert listening in processes
    assert "2 on each of 2 processes" in section(done.stdout, "Training")
    assert wrong(done.stdout) == []


def test_several_processes_find_what_is_wrong_and_say_so_with_the_exit_code(tmp_path: Path) -> None:
    given = arguments(at(tmp_path), tmp_path, "train.launch.processes=2")
    command = [sys.executable, "-m", "pipeline.doctor", *given]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == EXIT_ERROR
    assert wrong(done.stdout) == ["Processes", "Data set"]
    assert "no process can read the data" in section(done.stdout, "Processes")


def test_a_process_that_has_other_data_is_named() -> None:
    card = together.Card("node1", "cuda:0 (H100)", "3.11", "2.14", "abc", False)
    assert not problems(together.introductions([card, card._replace(host="node2")]))
    other = card._replace(device="cuda:1", mark="def")
    (problem,) = problems(together.introductions([card._replace(device="cuda:2"), card, other]))
    assert "process 2 has def" in problem.text
    (problem,) = problems(together.introductions([card, card]))
    assert "share a GPU" in problem.text


def problems(findings: Iterator[Finding]) -> list[Problem]:
    return [finding for finding in findings if isinstance(finding, Problem)]


def test_no_check_hides_another_and_a_defect_shows_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def defective() -> Iterator[Finding]:
        yield Fact("first", "seen")
        raise KeyError("missing")

    def refused() -> Iterator[Finding]:
        yield from ()
        raise ValueError("no room: make some")

    outcome = report({"A": defective(), "B": refused(), "C": iter([Fact("last", "seen")])}, write)
    text = capsys.readouterr().out
    assert outcome.wrong == ["A", "B"]
    assert "first              seen" in text
    assert 'raise KeyError("missing")' in text
    assert "WRONG:             no room: make some" in text
    assert "last               seen" in text


def test_cameras_are_drawn_where_they_stand() -> None:
    pitch, yaw = np.array([80.0, 80.0, 100.0]), np.array([60.0, 60.0, 120.0])
    *rows, axis = drawn(pitch, yaw)
    assert len(rows) == ROWS
    inside = [row[row.index("|") + 1 : -1] for row in rows]
    assert inside[0] == "@".ljust(COLUMNS)
    assert inside[-1].strip() not in ("", "@")
    assert inside[-1].rindex(inside[-1].strip()) == COLUMNS - 1
    assert "".join(inside[1:-1]).strip() == ""
    assert axis.split() == ["yaw", "60", "120"]
    assert len(drawn(pitch[:1], yaw[:1])) == ROWS + 1


def test_help_and_flags_are_those_of_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(doctor.STAGE, doctor.run, ["--help"]) == 0
    assert "usage: python -m pipeline.doctor" in capsys.readouterr().out
