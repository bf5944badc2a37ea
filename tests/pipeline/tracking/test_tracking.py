"""Runs in a real MLflow store on sqlite."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.config.schema import TrackingConfig
from pipeline.display.images import write_png
from pipeline.tracking import provenance, runlog
from pipeline.tracking import runs as tracking
from pipeline.tracking.mlflow import store
from pipeline.tracking.mlflow.store import TrackingError

mlflow_client = pytest.importorskip("mlflow.tracking").MlflowClient


def settings(folder: Path, **values: str | None) -> TrackingConfig:
    plain = {"kind": "mlflow", "uri": f"sqlite:///{folder}/mlflow.db", "experiment": "test", "run": "first"}
    return TrackingConfig(**{**plain, "parent": None, **values})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that the tests share: creating one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    store.open_store(settings(folder))
    return folder


def write_metrics(path: Path, steps: list[int]) -> Path:
    records = [{"step": step, "time": 1.0 + step, "loss": step / 10, "broken": None} for step in steps]
    aside = path.with_suffix(".aside")
    aside.write_text("".join(json.dumps(record) + "\n" for record in records))
    return aside.replace(path)


def client_of(folder: Path) -> "mlflow_client":  # type: ignore[valid-type]
    return mlflow_client(settings(folder).uri)


def history(folder: Path, run_id: str | None, name: str) -> list[tuple[int, float]]:
    return [(m.step, m.value) for m in client_of(folder).get_metric_history(run_id, name)]


def write_pictures(samples: Path, steps: list[int], names: tuple[str, ...] = ("grid", "sweep")) -> Path:
    samples.mkdir(exist_ok=True)
    for step in steps:
        for name in names:
            write_png(samples / f"{name}-{step:07d}.png", np.zeros((4, 4, 3), np.uint8))
    return samples


def pictures_of(client: "mlflow_client", run_id: str | None) -> list[tuple[str, int]]:  # type: ignore[valid-type]
    """(name, step) of each picture that the page shows."""
    files = [Path(file.path).name for file in client.list_artifacts(run_id, "images")]
    return sorted((name.split("+")[0], int(name.split("+")[2])) for name in files if name.endswith(".png"))


def test_parameters_metrics_pictures_and_artifacts_arrive(folder: Path, tmp_path: Path) -> None:
    tracker = tracking.start(settings(folder))
    tracker.parameters({"train.steps": 3, "data.path": None})
    tracker.tags({"data_hash": "abc"})
    tracker.follow(write_metrics(tmp_path / "metrics.jsonl", [1, 2]))
    tracker.images(write_pictures(tmp_path / "samples", [0, 2, 4]), step=2)
    (tmp_path / "model/deep").mkdir(parents=True)
    for file in ("model.json", "deep/weights"):
        (tmp_path / "model" / file).write_text("{}")
    tracker.artifact(tmp_path / "model")
    tracker.artifact(tmp_path / "metrics.jsonl")
    tracker.finish()

    run = client_of(folder).get_run(tracker.run_id)
    assert run.data.params == {"train.steps": "3", "data.path": "None"}
    assert run.data.metrics == {"loss": 0.2}
    assert run.data.tags["data_hash"] == "abc"
    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    assert history(folder, tracker.run_id, "loss") == [(1, 0.1), (2, 0.2)]
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert artifacts.is_relative_to(folder / "mlruns")
    names = {str(path.relative_to(artifacts)) for path in artifacts.rglob("*") if path.is_file()}
    assert {"model/model.json", "model/deep/weights", "metrics.jsonl"} <= names
    shown = [("grid", 0), ("grid", 2), ("sweep", 0), ("sweep", 2)]
    assert pictures_of(client_of(folder), tracker.run_id) == shown


def test_what_a_stage_made_is_added_to_the_run_of_the_model(folder: Path, tmp_path: Path) -> None:
    first = tracking.start(settings(folder))
    first.finish()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/samples.png").write_text("")
    found = {"fid_effnetlite0": 12.5}
    artifacts = {tmp_path / "out": "evaluate"}
    tracking.add(
        settings(folder), first.run_id, "evaluate", values=found, artifacts=artifacts, checkpoints=tmp_path
    )
    run = client_of(folder).get_run(first.run_id)
    assert run.data.metrics == found
    assert run.info.status == "FINISHED"
    assert [f.path for f in client_of(folder).list_artifacts(first.run_id, "evaluate")] == [
        "evaluate/samples.png"
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


@pytest.mark.parametrize("run_id", [None, "0" * 32])
def test_a_model_from_elsewhere_makes_no_run_unless_one_is_named(
    folder: Path, run_id: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    def runs() -> int:
        client = client_of(folder)
        return len(client.search_runs([client.get_experiment_by_name("test").experiment_id]))

    store.open_store(settings(folder))
    before = runs()
    tracker = tracking.of_model(settings(folder, run=None), run_id)
    tracker.finish()
    assert (runs(), tracker.run_id) == (before, None)
    assert "this model has no run in the store, nothing is recorded" in capsys.readouterr().err
    named = tracking.of_model(settings(folder, run="mine"), run_id)
    named.finish()
    assert runs() == before + 1
    own = settings(folder, run=None)
    tracking.add(own, named.run_id, "evaluate", values={"fid": 2.0}, artifacts={}, checkpoints=folder)
    assert client_of(folder).get_run(named.run_id).data.metrics == {"fid": 2.0}
    assert runs() == before + 1


def test_a_resumed_training_goes_on_in_the_same_run_without_repeating_a_step(
    folder: Path, tmp_path: Path
) -> None:
    metrics, state = tmp_path / "metrics.jsonl", tmp_path / "tracking.json"
    first = tracking.start(settings(folder), state=state)
    first.parameters({"train.steps": 2})
    first.follow(write_metrics(metrics, [1, 2]))
    first.finish("KILLED")
    second = tracking.start(settings(folder), state=state)
    assert second.run_id == first.run_id
    assert client_of(folder).get_run(second.run_id).info.status == "RUNNING"
    second.parameters({"train.steps": 4})
    second.follow(write_metrics(metrics, [1, 2, 3]))
    assert second.flush()
    second.follow(write_metrics(metrics, [1, 2, 3, 4]))
    assert second.flush()
    assert history(folder, first.run_id, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    run = client_of(folder).get_run(first.run_id)
    assert run.data.params["train.steps"] == "2"
    assert run.data.tags["now.train.steps"] == "4"


def test_reports_that_were_sent_are_not_read_again(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[float] = []
    parse = runlog._record

    def noted(line: bytes, source: str) -> dict[str, float]:
        record = parse(line, source)
        read.append(record["step"])
        return record

    monkeypatch.setattr(runlog, "_record", noted)
    tracker = tracking.start(settings(folder))
    for last in (1, 2, 3):
        tracker.follow(write_metrics(tmp_path / "metrics.jsonl", [*range(1, last + 1)]))
        assert tracker.flush()
    assert read == [1, 2, 3]
    assert history(folder, tracker.run_id, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_a_state_of_another_store_or_of_a_deleted_run_starts_a_new_run(folder: Path, tmp_path: Path) -> None:
    state = tmp_path / "tracking.json"
    first = tracking.start(settings(folder), state=state)
    client_of(folder).delete_run(first.run_id)
    second = tracking.start(settings(folder), state=state)
    assert second.run_id != first.run_id
    state.write_text(json.dumps({"uri": "http://elsewhere", "run_id": second.run_id, "step": 7}))
    third = tracking.start(settings(folder), state=state)
    assert third.run_id != second.run_id
    assert json.loads(state.read_text())["step"] == -1


@pytest.mark.parametrize("content", ["", "[1]", "{}", '{"uri": 3, "run_id": "x", "step": 1}', "[" * 100_000])
def test_a_state_of_something_else_starts_a_new_run_and_is_told(
    folder: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = tmp_path / "tracking.json"
    state.write_text(content)
    tracker = tracking.start(settings(folder), state=state)
    assert "tracking.json" in (said := capsys.readouterr().err) and "starting a new run" in said
    assert json.loads(state.read_text())["run_id"] == tracker.run_id


def test_a_stage_can_add_to_the_run_of_another(folder: Path) -> None:
    first = tracking.start(settings(folder))
    first.finish()
    again = tracking.start(settings(folder), run_id=first.run_id)
    assert again.run_id == first.run_id
    elsewhere = tracking.start(settings(folder), run_id="0" * 32)
    assert elsewhere.run_id not in (first.run_id, "0" * 32)


def test_a_run_can_have_a_parent(folder: Path) -> None:
    parent = tracking.start(settings(folder))
    child = tracking.start(settings(folder, parent=parent.run_id))
    assert client_of(folder).get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id


def test_a_store_that_breaks_in_the_middle_costs_a_warning_and_no_step_and_no_picture(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = tracking.start(settings(folder))
    metrics = tmp_path / "metrics.jsonl"

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("server gone\nwith details")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow_client, "log_batch", fail)
        tracker.follow(write_metrics(metrics, [1]))
        tracker.images(write_pictures(tmp_path / "samples", [1]), step=1)
        assert not tracker.flush()
        tracker.follow(write_metrics(metrics, [1, 2]))
        assert not tracker.flush()
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("tracking:")]
    assert len(warnings) == 1
    assert warnings[0].endswith("server gone")
    tracker.follow(write_metrics(metrics, [1, 2, 3]))
    assert tracker.flush()
    assert history(folder, tracker.run_id, "loss") == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert pictures_of(client_of(folder), tracker.run_id) == [("grid", 1), ("sweep", 1)]
    assert "is back" in capsys.readouterr().err


def test_a_run_that_is_deleted_in_the_middle_is_told_and_keeps_nothing_waiting(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = tracking.start(settings(folder))
    client_of(folder).delete_run(tracker.run_id)
    tracker.follow(write_metrics(tmp_path / "metrics.jsonl", [1]))
    assert tracker.flush()
    assert "refuses numbers of metrics.jsonl: The run" in capsys.readouterr().err


def test_a_deleted_experiment_stops_training_and_costs_no_work_of_other_stages(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = settings(folder, experiment="gone")
    run = tracking.start(config)
    run.finish()
    number = client_of(folder).get_experiment_by_name("gone").experiment_id
    client_of(folder).delete_experiment(number)
    problem = "^tracking.experiment = gone was deleted in sqlite:.*: restore it"
    with pytest.raises(TrackingError, match=rf"{problem} \(.* restore -x {number}\), or use another with"):
        tracking.start(config)
    tracking.add(config, run.run_id, "export", artifacts={tmp_path: "export"}, checkpoints=tmp_path / "c")
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith(
        "tracking: export is done, but not recorded: tracking.experiment = gone was deleted"
    )
    client_of(folder).restore_experiment(number)
    assert tracking.start(config, run_id=run.run_id).run_id == run.run_id


def test_work_counts_where_nothing_can_be_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    tracking.add(settings(folder), None, "export", artifacts={}, checkpoints=tmp_path / "file/checkpoints")
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("tracking: export is not recorded, nothing can be written to /")


def test_the_default_store_is_absolute_unless_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert Path(store.default_uri().removeprefix("sqlite:///")).is_absolute()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert store.default_uri() == "http://server:5000"


def test_without_tracking_mlflow_is_not_imported() -> None:
    program = (
        "import sys; from pipeline.tracking import runs as tracking; from pipeline.config.loader import load;"
        "t = tracking.start(load(['tracking=none']).tracking);"
        "t.parameters({'a': 1}); t.finish(); sys.exit('mlflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_provenance_names_commit_data_and_fingerprint() -> None:
    tags = provenance.tags(data_hash="d", fingerprint="f")
    assert tags["data_hash"] == "d"
    assert tags["fingerprint"] == "f"
    assert len(tags["mlflow.source.git.commit"]) == 40
