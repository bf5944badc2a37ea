"""A sweep that is stopped and goes on elsewhere: no run stays open, no file tells of paths and stores."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sweep_runs import PATIENCE, end, folder_of, run, started, trials, wait_for_step, write_sweep

from pipeline.cli.command import main
from pipeline.config.pinned import PRIVATE, without_private
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import folder, request
from pipeline.tracking import runs
from pipeline.train import stage as train

MlflowClient = pytest.importorskip("mlflow.tracking").MlflowClient
ONE = """
experiment: tiny
fixed: {train.steps: 80, train.measure_every: 40, train.measure_images: 8, train.log_every: 1}
space: {seed: [0]}
"""
TRIAL = "000-seed_0"
MARKS = ("mallory", "hunter2", "workstation")
RAY_S_HANDLER = """
import signal, sys
from types import SimpleNamespace
from pipeline.cli import ending
from pipeline.sweep.tune.cluster import connection as cluster

def init(**options):
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    if sys.argv[1] == "meanwhile":
        signal.raise_signal(signal.SIGTERM)

def work():
    cluster._join("here")
    signal.raise_signal(signal.SIGTERM)
    return 0

sys.modules["ray"] = SimpleNamespace(init=init)
sys.exit(ending.stoppable("sweep", work))
"""


def places(home: Path) -> list[str]:
    """Arguments about this machine, all below a folder."""
    own = [f"paths.train_data='{home}/train'", f"paths.test_data='{home}/test'"]
    own += [f"paths.{name}='{home}/runs/{name}'" for name in ("train", "evaluate", "report")]
    return [*own, f"tracking.uri='sqlite:///{home}/mlflow.db'", "tracking.experiment=test", "tracking=mlflow"]


def states(home: Path) -> set[tuple[str | None, str]]:
    """Name and status of all runs."""
    client = MlflowClient(f"sqlite:///{home}/mlflow.db")
    experiment = client.get_experiment_by_name("test")
    assert experiment is not None
    return {(run.info.run_name, run.info.status) for run in client.search_runs([experiment.experiment_id])}


def telling(place: Path, mark: str) -> list[str]:
    """Files with a mark; checkpoints and the names of runs, which no one is given, apart."""
    files = [file for file in place.rglob("*") if file.is_file() and file.name != runs.STATE]
    given = [file for file in files if "checkpoints" not in file.parts]
    return [str(file) for file in given if mark in file.read_text("latin1")]


@pytest.mark.slow
def test_a_stopped_sweep_ends_its_runs_and_goes_on_where_data_and_store_have_moved(
    data: list[str], tmp_path: Path
) -> None:
    home, moved, given = tmp_path / "mallory", tmp_path / "moved", tmp_path / "given"
    given.mkdir()
    shutil.copytree(Path(data[0].partition("=")[2].strip("'")).parent, home)
    file = write_sweep(given, ONE)
    with started(file, [], *places(home)) as driver:
        wait_for_step(file, TRIAL, 3, driver)
        os.killpg(driver.pid, signal.SIGTERM)
        os.killpg(driver.pid, signal.SIGTERM)  # as timeout does: to its child, and to the group
        code, said = end(driver)
    assert code == 85 and "stopped after 0 of 1 trials" in said, said
    assert states(home) == {("small", "KILLED"), (TRIAL, "KILLED")}
    assert not telling(given / "sweeps", "mallory")
    home.rename(moved)
    code, said = run(file, [], *places(moved), "--resume")
    assert code == 0, said
    assert states(moved) == {("small", "FINISHED"), (TRIAL, "FINISHED")}
    assert not telling(given / "sweeps", "mallory") and not telling(given / "sweeps", str(moved))
    assert "going on from step" in (folder_of(file, TRIAL) / "train.log").read_text()
    params = folder_of(file, TRIAL) / "params.yaml"
    own = [*data, f"paths.train='{tmp_path}/own'", f"paths.checkpoints='{tmp_path}/kept'", "tracking=none"]
    assert main(train.STAGE, train.run, ["--params", str(params), *own, "train.steps=2"]) == 0


@pytest.mark.slow
def test_a_sweep_that_is_killed_leaves_no_path_nor_store_in_any_file(data: list[str], tmp_path: Path) -> None:
    home, given = tmp_path / "mallory", tmp_path / "given"
    given.mkdir()
    shutil.copytree(Path(data[0].partition("=")[2].strip("'")).parent, home)
    file = write_sweep(given, ONE)
    told = [*places(home)[:-3], "tracking.run=mallory", "tracking.kind=none"]
    told += ["tracking.uri='http://mallory:hunter2@workstation:5000'", "train.launch.main_address=127.0.0.2"]
    endless = ["train.steps=99999999", "train.keep_every=1"]  # takes more than any disk has
    with started(file, [], *told, *endless, "--force") as driver:
        wait_for_step(file, TRIAL, 3, driver)
        driver.send_signal(signal.SIGKILL)
    assert [trial.status for trial in trials(file).values()] == ["running"]
    assert (given / "sweeps/small/tune").exists(), "Tune's own files are among those that are read"
    for mark in (*MARKS, "127.0.0.2"):
        assert not telling(given / "sweeps", mark)


def test_sweep_yaml_tells_neither_paths_nor_store_and_compares_as_before(tmp_path: Path) -> None:
    file = write_sweep(tmp_path, ONE)
    words = [f"sweep={file}", f"sweep.folder='{tmp_path}/sweeps'"]
    private = ["paths.train=/home/mallory/runs", "tracking.uri='http://mallory:hunter2@workstation'"]
    asked = request.read([*words, *private, "tracking=none"], None)
    told = folder.described(asked)
    assert not [mark for mark in MARKS if mark in str(told)]
    assert not set(told["base"]) & set(PRIVATE) and "main_address" not in told["base"]["train"]["launch"]
    assert told["command"].endswith(" tracking=none") and told["overrides"][-1] == "tracking=none"
    with folder.opened(asked, resume=False):
        folder.require_right(request.read(words, None), resume=True)


def test_what_is_private_is_what_the_schema_says() -> None:
    kept = without_private({"paths": {"train": 1}, "tracking": {"run": 1}, "seed": 0, "train": {
        "launch": {"main_address": "a", "processes": 2}}})  # fmt: skip
    assert kept == {"seed": 0, "train": {"launch": {"processes": 2}}}


@pytest.mark.parametrize("when", ["meanwhile", "afterwards"])
def test_ray_does_not_decide_how_sigterm_ends_a_sweep(when: str) -> None:
    command = [sys.executable, "-c", RAY_S_HANDLER, when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 143, done.stderr
    assert done.stderr == "sweep: stopped by SIGTERM\n"
