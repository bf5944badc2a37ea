"""The sqlite file of a store: odd names, half made ones, several makers at once, and moved projects."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from training_runs import PATIENCE, killed_at_the_end

from pipeline.config.loader import load
from pipeline.config.schema import TrackingConfig
from pipeline.config.yaml_reading import PROJECT
from pipeline.doctor import storage
from pipeline.doctor.findings import Caution
from pipeline.tracking import runs as tracking
from pipeline.tracking.mlflow import database, store
from pipeline.tracking.mlflow.store import TrackingError

mlflow_client = pytest.importorskip("mlflow.tracking").MlflowClient

OPEN = (
    "import sys; from pipeline.tracking import runs as tracking\n"
    "from pipeline.config.schema import TrackingConfig\n"
    "config = TrackingConfig(kind='mlflow', uri=sys.argv[1], experiment='test')\n"
    "print(tracking.start(config).run_id)"
)


def on(file: Path) -> TrackingConfig:
    return TrackingConfig(kind="mlflow", uri=database.address(file), experiment="test")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that tests copy: making one takes seconds."""
    file = tmp_path_factory.mktemp("whole") / "mlflow.db"
    database.make(file)
    return file


def record(file: Path, work: Path) -> Path:
    """Make a run with an artifact, and return the file that holds it."""
    work.mkdir(exist_ok=True)
    (work / "a.txt").write_text("content")
    tracker = tracking.start(on(file))
    tracker.artifact(work / "a.txt")
    tracker.finish()
    (copy,) = file.parent.glob(f"mlruns/{tracker.run_id}/artifacts/a.txt")
    return copy


@pytest.mark.parametrize("name", ["a%20b", "100%", "what? x=1", "a#b", "a b", "grün日本", "it's & [b]=,;$x"])
def test_a_folder_of_any_name_holds_database_and_artifacts_and_nothing_appears_beside(
    tmp_path: Path, whole: Path, name: str
) -> None:
    file = tmp_path / name / "mlflow.db"
    file.parent.mkdir()
    shutil.copy(whole, file)
    before = file.stat().st_size, file.stat().st_mtime_ns
    assert database.file_of(database.address(file)) == file
    assert record(file, tmp_path / "work").read_text() == "content"
    assert (file.stat().st_size, file.stat().st_mtime_ns) != before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "work"])


def test_a_plain_path_keeps_its_plain_address(tmp_path: Path) -> None:
    assert database.address(Path("/a b/mlflow.db")) == "sqlite:////a b/mlflow.db"
    assert database.file_of("http://host:5000") is None
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "disk/mlflow.db")
    assert database.file_of(database.address(tmp_path / "link.db")) == tmp_path / "disk/mlflow.db"


def test_processes_that_meet_at_a_new_store_all_record_in_it(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    command = [sys.executable, "-c", OPEN, database.address(file)]
    with ExitStack() as ended:
        pipe = subprocess.PIPE
        started = [subprocess.Popen(command, cwd=PROJECT, stdout=pipe, text=True) for _ in range(3)]
        for process in started:
            ended.enter_context(killed_at_the_end(process))
        runs = {process.communicate(timeout=PATIENCE)[0].strip() for process in started}
    assert [process.returncode for process in started] == [0] * 3
    client = mlflow_client(database.address(file))
    number = client.get_experiment_by_name("test").experiment_id
    assert {run.info.run_id for run in client.search_runs([number])} == runs
    assert len(runs) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_store_whose_making_is_stopped_is_made_by_the_next_process(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    file = tmp_path / "mlflow.db"
    process = subprocess.Popen(
        [sys.executable, "-c", OPEN, database.address(file)], cwd=PROJECT, stderr=subprocess.DEVNULL
    )
    aside = tmp_path / f".mlflow.db.making-{process.pid}"
    while not (aside.exists() and aside.stat().st_size > 0):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(number)
    assert process.wait(60) != 0
    assert not file.exists()
    monkeypatch.setattr(database, "_make", lambda aside, artifacts: shutil.copy(whole, aside))
    database.make(file)
    database.require_whole(file)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mlflow.db"]


def half_made(file: Path) -> None:
    """What versions before left when they were killed: tables of MLflow's first migrations, without a row."""
    with sqlite3.connect(file) as base:
        for name in ("experiments", "runs", "metrics"):
            base.execute(f"create table {name} (run_uuid text)")
        base.execute("create table alembic_version (version_num text)")
        base.execute("insert into alembic_version values ('c48cb773bb87')")
    base.close()


def something_else(file: Path) -> None:
    with sqlite3.connect(file) as base:
        base.execute("create table songs (name text)")
    base.close()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (half_made, "is incomplete, its creation was interrupted, without runs: move it away"),
        (something_else, "is a database of something else: move it away"),
        (lambda file: file.write_text("this is a text file"), "is no readable database"),
        (lambda file: file.mkdir(), "is a folder, but should be a database: move it away"),
    ],
)
def test_what_is_no_whole_store_is_refused_at_once_in_a_line_and_stays(
    tmp_path: Path, make, problem: str
) -> None:
    file = tmp_path / "mlflow.db"
    make(file)
    content = None if file.is_dir() else file.read_bytes()
    began = time.monotonic()
    for create in (True, False):
        with pytest.raises(TrackingError) as caught:
            store.open_store(on(file), create=create)
        assert problem in str(caught.value)
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 10  # MLflow tries for 100 s
    assert file.is_dir() or file.read_bytes() == content


def test_an_empty_file_becomes_the_store(
    tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mlflow.db"
    file.touch()
    monkeypatch.setattr(database, "_make", lambda aside, artifacts: shutil.copy(whole, aside))
    database.make(file)
    database.require_whole(file)


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
def test_a_project_that_was_moved_or_copied_keeps_its_artifacts_and_writes_beside_its_store(
    tmp_path: Path, whole: Path, how, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    shutil.copy(whole, old / "mlflow.db")
    first = record(old / "mlflow.db", tmp_path / "work")
    how(str(old), str(new))
    before = sorted(old.rglob("*"))
    config = load([f"tracking.uri='{database.address(new / 'mlflow.db')}'", "tracking.experiment=test"])
    (note,) = [found.text for found in storage.tracking(config) if isinstance(found, Caution)]
    assert note.startswith(f"the store was moved or copied from {old.as_uri()}/mlruns: ")
    second = record(new / "mlflow.db", tmp_path / "work")
    assert second.is_relative_to(new)
    assert sorted(old.rglob("*")) == before
    client = mlflow_client(database.address(new / "mlflow.db"))
    place = client.get_run(first.parts[-3]).info.artifact_uri
    assert place == (new / "mlruns" / first.parts[-3] / "artifacts").as_uri()
    assert f"was moved or copied from {old}" in capsys.readouterr().err
    database.follow_move(new / "mlflow.db")
    assert capsys.readouterr().err == ""


def test_artifacts_that_somebody_keeps_elsewhere_stay_there(tmp_path: Path, whole: Path) -> None:
    file = tmp_path / "mlflow.db"
    shutil.copy(whole, file)
    elsewhere = tmp_path / "disk/mlruns"
    elsewhere.mkdir(parents=True)
    mlflow_client(database.address(file)).create_experiment("own", artifact_location=elsewhere.as_uri())
    mlflow_client(database.address(file)).create_experiment("far", artifact_location="s3://bucket/mlruns")
    assert database.misplaced(file) == []


def test_a_database_that_cannot_be_written_is_an_error_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"^tracking store sqlite:.* cannot be used \(.*/file'\)"):
        store.open_store(on(tmp_path / "file/mlflow.db"))
    assert os.listdir(tmp_path) == ["file"]
