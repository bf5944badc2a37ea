"""Sweeps in real MLflow stores: a database, and a server that goes away in the middle."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow_servers import free_port, server
from sweep_folders import METRIC, sampled, write_sweep

from pipeline.config.schema import TrackingConfig
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import sweep_yaml
from pipeline.sweep.report import page, record
from pipeline.sweep.report.record import Parent
from pipeline.sweep.trials import Trial
from pipeline.tracking import runs as tracking
from pipeline.tracking.mlflow import store
from pipeline.tracking.mlflow.store import TrackingError

MlflowClient = pytest.importorskip("mlflow.tracking").MlflowClient


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> TrackingConfig:
    """A store that the tests share: creating one takes seconds."""
    config = on(f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db")
    store.open_store(config)
    return config


def on(uri: str) -> TrackingConfig:
    return TrackingConfig(kind="mlflow", uri=uri, experiment="test")


def child(config: TrackingConfig, parent: Parent, name: str) -> tracking.Tracker:
    """The run of a trial, as training makes it."""
    own = TrackingConfig(
        kind="mlflow", uri=config.uri, experiment=config.experiment, run=name, parent=parent.run_id
    )
    tracker = tracking.start(own)
    for name, value in {"images_per_second": 1.0, METRIC: 60.0}.items():
        MlflowClient(config.uri).log_metric(tracker.run_id, name, value)
    return tracker


def run_of(config: TrackingConfig, run_id: str | None):
    return MlflowClient(config.uri).get_run(run_id)


def start(config: TrackingConfig, folder: Path) -> Parent:
    return Parent.start(config, folder.name, sweep_yaml.read(folder), folder)


def test_what_was_asked_stands_in_the_parent(config: TrackingConfig, tmp_path: Path) -> None:
    space = {"sampler.kind": ["planes", "manifold"], "train.lr_generator": {"low": 1e-5, "high": 1e-3}}
    settings = {"search": "grid", "scheduler": "asha", "num_trials": None}
    folder = write_sweep(tmp_path / "mine", [], space=space, settings=settings, base={"seed": 0})
    run = run_of(config, start(config, folder).run_id)
    assert run.info.run_name == "mine"
    assert run.data.params == {
        "objective": METRIC,
        "space.sampler.kind": "['planes', 'manifold']",
        "space.train.lr_generator.low": "1e-05",
        "space.train.lr_generator.high": "0.001",
        "settings.search": "grid",
        "settings.scheduler": "asha",
        "experiment": "tiny",
        "overrides": "[]",
    }
    assert run.data.tags["sweep"] == "mine"
    assert run.data.tags["command"] == "python -m pipeline.sweep sweep=mine experiment=tiny"
    assert run.data.tags["mlflow.source.name"] == "python -m pipeline.sweep"
    assert len(run.data.tags["mlflow.source.git.commit"]) == 40


def test_children_get_cost_protocol_and_how_they_ended(config: TrackingConfig, tmp_path: Path) -> None:
    parent = start(config, write_sweep(tmp_path, []))
    trackers = [child(config, parent, f"00{k}-trial") for k in range(4)]
    trackers[0].finish()
    runs = [tracker.run_id for tracker in trackers]
    trials = [
        sampled(0, "manifold", 6, 50.0, run=runs[0], gpus=0.5),
        sampled(1, "planes", 6, 70.0, run=runs[1], status="stopped", reason="not promising", steps=40),
        sampled(2, "spheres", 6, None, run=runs[2], status="failed", reason="NaN", attempts=2, protocol=None),
        sampled(3, "neusample", 6, 60.0, run=runs[3], status="running"),
        sampled(4, "stratified", 6, None, status="pending", steps=0),
    ]
    parent.update(trials)
    found = [run_of(config, run_id) for run_id in runs]
    assert [run.info.status for run in found] == ["FINISHED", "KILLED", "FAILED", "RUNNING"]
    assert [run.data.tags["status"] for run in found] == ["finished", "stopped", "failed", "running"]
    assert [run.data.tags.get("reason") for run in found] == [None, "not promising", "NaN", None]
    assert found[0].data.tags["trial"] == "manifold, 6 points"
    assert json.loads(found[0].data.tags["protocol"]) == trials[0].protocol
    assert "protocol" not in found[2].data.tags
    expected = {"points_per_ray": 6.0, "images_per_second": 40.0, "memory_gib": 1.5, "attempts": 1.0}
    expected |= {"gpu_seconds": 30.0, "cpu_seconds": 60.0, "objective": 50.0, METRIC: 60.0}
    assert found[0].data.metrics == expected
    assert "objective" not in found[2].data.metrics
    assert found[3].data.metrics == {"images_per_second": 1.0, METRIC: 60.0}
    totals = {"trials/finished": 1.0, "trials/stopped": 1.0, "trials/failed": 1.0, "objective": 50.0}
    own = run_of(config, parent.run_id)
    assert own.data.metrics == totals | {"gpu_seconds": 30.0, "cpu_seconds": 300.0}


def test_nothing_is_sent_twice_even_after_a_restart(config: TrackingConfig, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [])
    parent = start(config, folder)
    tracker = child(config, parent, "000-trial")
    trials = [sampled(0, "manifold", 6, 50.0, run=tracker.run_id)]
    parent.update(trials)
    parent.update(trials)
    again = start(config, folder)
    assert again.run_id == parent.run_id
    assert run_of(config, again.run_id).info.status == "RUNNING"
    again.update(trials)
    client = MlflowClient(config.uri)
    assert len(client.get_metric_history(tracker.run_id, "objective")) == 1
    assert len(client.get_metric_history(parent.run_id, "objective")) == 1


def test_the_best_so_far_is_a_curve_over_trials(config: TrackingConfig, tmp_path: Path) -> None:
    parent = start(config, write_sweep(tmp_path, []))
    trials: list[Trial] = []
    for k, value in enumerate((70.0, 50.0, 60.0)):
        trials.append(sampled(k, "manifold", 6 + k, value))
        parent.update(trials)
    history = MlflowClient(config.uri).get_metric_history(parent.run_id, "trials/finished")
    assert [(m.step, m.value) for m in history] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    best = MlflowClient(config.uri).get_metric_history(parent.run_id, "objective")
    assert [(m.step, m.value) for m in best] == [(1, 70.0), (2, 50.0)]


def test_the_end_brings_report_note_and_status(config: TrackingConfig, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [sampled(0, "manifold", 6, 50.0), sampled(1, "planes", 6, 55.0)])
    (folder / "best.yaml").write_text("seed: 0\n")
    page.write(folder)
    parent = start(config, folder)
    parent.finish(folder, "FINISHED")
    run = run_of(config, parent.run_id)
    assert run.info.status == "FINISHED"
    assert "Best trial: 000 (manifold, 6 points) with" in run.data.tags["mlflow.note.content"]
    names = {file.path for file in MlflowClient(config.uri).list_artifacts(parent.run_id)}
    assert names == {"report.html", "report.png", "trials.csv", "best.yaml", "sweep.yaml"}


def test_runs_whose_training_was_killed_are_ended(config: TrackingConfig, tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [])
    parent = start(config, folder)
    program = (
        "import os, signal, sys; from pipeline.tracking import runs as tracking\n"
        "from pipeline.config.schema import TrackingConfig\n"
        "for name in ('000-trial', '001-trial', '002-lost'):\n"
        "    config = TrackingConfig(kind='mlflow', uri=sys.argv[1], experiment='test', run=name, "
        "parent=sys.argv[2])\n"
        "    print(tracking.start(config).run_id, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", program, str(config.uri), str(parent.run_id)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    runs = done.stdout.split()
    write_sweep(
        folder,
        [
            sampled(0, "manifold", 6, None, run=runs[0], status="failed", reason="killed"),
            sampled(1, "planes", 6, None, status="failed", reason="killed"),
        ],
    )
    assert {run_of(config, run_id).info.status for run_id in runs} == {"RUNNING"}
    parent.finish(folder, "FINISHED")
    assert [run_of(config, run_id).info.status for run_id in runs] == ["FAILED", "FAILED", "KILLED"]


def test_a_deleted_child_does_not_keep_the_others_from_being_recorded(
    config: TrackingConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = start(config, write_sweep(tmp_path, []))
    first, second = child(config, parent, "000-trial"), child(config, parent, "001-trial")
    MlflowClient(config.uri).delete_run(first.run_id)
    trials = [sampled(0, "planes", 6, run=first.run_id), sampled(1, "manifold", 6, run=second.run_id)]
    parent.update(trials)
    parent.update(trials)
    assert run_of(config, second.run_id).data.tags["status"] == "finished"
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tracking:")]
    assert len(said) == 1
    assert f"run {first.run_id} accepts no more results" in said[0]


def test_without_tracking_there_is_no_parent(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [sampled(0, "planes", 6)])
    parent = start(TrackingConfig(kind="none", experiment="test"), folder)
    parent.update([sampled(0, "planes", 6)])
    parent.finish(folder, "FINISHED")
    assert parent.run_id is None
    assert not (folder / tracking.STATE).exists()


def test_a_store_that_cannot_be_used_is_named_at_the_start(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path / "sweep", [])
    (tmp_path / "mlflow.db").write_text("this is no database, it is a text file")
    with pytest.raises(TrackingError, match="run with tracking=none"):
        start(on(f"sqlite:///{tmp_path}/mlflow.db"), folder)


@pytest.mark.slow
def test_a_server_that_goes_away_costs_a_warning_and_nothing_is_missing_in_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    port = free_port()
    config = on(f"http://127.0.0.1:{port}")
    base = {"tracking": {"kind": "mlflow", "uri": config.uri, "experiment": "test"}}
    folder = write_sweep(tmp_path / "mine", [], base=base)
    with server(tmp_path, port):
        parent = start(config, folder)
        tracker = child(config, parent, "000-trial")
        trial = sampled(0, "manifold", 6, None, run=tracker.run_id, status="running")
        parent.update([trial])
    trial.status, trial.objective = "finished", 50.0
    write_sweep(folder, [trial], base=base)
    page.write(folder)
    parent.update([trial])
    began = time.monotonic()
    parent.update([trial])
    assert time.monotonic() - began < 0.1  # a store that is away does not hold up the sweep
    parent.finish(folder, "FINISHED")
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tracking:")]
    assert len(said) == 2
    assert f"the sweep continues without http://127.0.0.1:{port}" in said[0]
    assert f"python -m pipeline.sweep.report.record {folder} sends it" in said[1]
    with server(tmp_path, port):
        assert record.main([str(folder)]) == 0
        client = MlflowClient(config.uri)
        own, run = client.get_run(parent.run_id), client.get_run(tracker.run_id)
        assert (own.info.status, run.info.status) == ("FINISHED", "FINISHED")
        assert own.data.metrics["objective"] == run.data.metrics["objective"] == 50.0
        names = {file.path for file in client.list_artifacts(parent.run_id)}
        assert names == {"report.html", "report.png", "trials.csv", "sweep.yaml"}
