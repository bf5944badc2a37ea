"""Stages and the process of a tracking server that hangs, comes back, or wants a password."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow_servers import free_port, paused, server
from training_runs import STEPS, arguments, run

from pipeline.cli.command import main
from pipeline.config.schema import TrackingConfig
from pipeline.tracking import runlog, runs
from pipeline.train import stage as train

mlflow_client = pytest.importorskip("mlflow.tracking").MlflowClient
pytestmark = pytest.mark.slow

SILENCE = 4
"""Seconds until a call to a server that hangs is given up."""
Server = tuple[int, "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Port and process of a server that the tests share: starting one takes seconds."""
    port = free_port()
    with server(tmp_path_factory.mktemp("server"), port) as process:
        yield port, process


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(SILENCE))


def reports(folder: Path) -> list[dict[str, float]]:
    return list(runlog.read(folder / "out/metrics.jsonl"))


def when_step(folder: Path, step: int, act: Callable[[], object]) -> None:
    """Do something once a training has reported a step."""

    def watch() -> None:
        while not any(record["step"] >= step for record in reports(folder)):
            time.sleep(0.01)
        act()

    threading.Thread(target=watch, daemon=True).start()


def test_training_goes_on_while_its_server_hangs_and_later_nothing_is_missing(
    data: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], running: Server
) -> None:
    uri = f"http://127.0.0.1:{running[0]}"
    options = ("tracking=mlflow", f"tracking.uri={uri}", "train.log_every=1", "train.threads=1")
    with ExitStack() as hanging:
        when_step(tmp_path, 4, lambda: hanging.enter_context(paused(running[1])))
        assert run(data, tmp_path, *options) == 0
    written = [record["time"] for record in reports(tmp_path)]
    assert written[-1] - written[4] < SILENCE * (STEPS - 5) / 2, "reports waited for the server"
    said = capsys.readouterr().err
    assert f"continuing without {uri}" in said
    assert f"tracking: {uri} lacks " in said
    assert "numbers of metrics.jsonl" in said
    assert "the same command sends it when it is back" in said

    assert run(data, tmp_path, *options) == 0
    assert "lacks" not in capsys.readouterr().err
    (state,) = (tmp_path / "checkpoints").glob("*/tracking.json")
    client, run_id = mlflow_client(uri), json.loads(state.read_text())["run_id"]
    history = client.get_metric_history(run_id, "loss/discriminator")
    assert [one.step for one in history] == list(range(1, STEPS + 1))
    names = [Path(file.path).name.split("+") for file in client.list_artifacts(run_id, "images")]
    sent = sorted((name[0], int(name[2])) for name in names if name[-1].endswith(".png"))
    assert sent == [(name, step) for name in ("grid", "surfaces", "sweep") for step in (0, 12, STEPS)]
    assert {file.path for file in client.list_artifacts(run_id)} >= {"model", "images"}
    assert client.get_run(run_id).info.status == "FINISHED"


def test_work_counts_while_a_server_is_away_and_the_next_stage_records_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], running: Server
) -> None:
    uri = f"http://127.0.0.1:{running[0]}"
    config = TrackingConfig(kind="mlflow", uri=uri, experiment="test")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/grid.png").write_text("picture")
    kept = tmp_path / "checkpoints"
    first = runs.start(config, state=tmp_path / "tracking.json")
    first.finish()
    numbers, artifacts = {"fid_effnetlite0": 12.5}, {tmp_path / "out": "evaluate"}

    with paused(running[1]):
        began = time.monotonic()
        runs.add(config, first.run_id, "evaluate", values=numbers, artifacts=artifacts, checkpoints=kept)
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(
            "tracking: evaluate is done, but not recorded: tracking store http://127.0.0.1:"
        )
        assert said.endswith("; then the next stage sends it")
        named = replace(config, run="export")
        runs.add(named, None, "export", artifacts=artifacts, checkpoints=kept)
        assert capsys.readouterr().err.endswith("; then the same command sends it\n")
        again = runs.start(config, state=tmp_path / "tracking.json")
        assert again.run_id == first.run_id, "a training that goes on does not need its server"
        assert time.monotonic() - began < 5 * SILENCE
    assert len(list(kept.rglob("*.json"))) == 1

    runs.add(config, first.run_id, "report", artifacts={}, checkpoints=kept)
    client = mlflow_client(uri)
    assert client.get_run(first.run_id).data.metrics == numbers
    assert [file.path for file in client.list_artifacts(first.run_id, "evaluate")] == ["evaluate/grid.png"]
    assert list(kept.rglob("*.json")) == []


def test_a_password_in_the_address_connects_and_is_nowhere_else(
    data: list[str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    running: Server,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # what the stage sets is undone
    where = f"127.0.0.1:{running[0]}"
    options = ("tracking=mlflow", f"tracking.uri='http://alice:hunter2@{where}'", "train.steps=2")
    assert run(data, tmp_path, *options) == 0
    assert main(train.STAGE, train.run, [*arguments(data, tmp_path, *options), "--show"]) == 0
    (state,) = (tmp_path / "checkpoints").glob("*/tracking.json")
    known = json.loads(state.read_text())
    assert known["uri"] == f"http://***@{where}"
    recorded = mlflow_client(f"http://{where}").get_run(known["run_id"])
    assert recorded.data.params["tracking.uri"] == f"http://***@{where}"
    assert os.environ["MLFLOW_TRACKING_URI"] == f"http://alice:hunter2@{where}"
    nobody = f"tracking.uri='http://alice:hunter2@127.0.0.1:{free_port()}'"
    assert run(data, tmp_path / "new", "tracking=mlflow", nobody) == 1
    shown = capfd.readouterr()
    assert "cannot be used" in shown.err
    assert "http://***@127.0.0.1" in shown.out
    assert "hunter2" not in shown.out + shown.err
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()] == []
