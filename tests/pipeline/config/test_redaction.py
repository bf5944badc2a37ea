"""Addresses lose their secrets, and nothing else changes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.config.loader import as_dict, load, resolve
from pipeline.config.redaction import redacted, with_secrets_of
from pipeline.config.schema import TrackingConfig
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import folder, request
from pipeline.tracking.mlflow.store import TrackingError, deletion, uri_of


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://alice:hunter2@host:5000/api", "http://***@host:5000/api"),
        ("https://hunter2@host", "https://***@host"),
        ("http://alice:hun@ter2@host", "http://***@host"),
        ("http://alice:hunter%402@[::1]:5000", "http://***@[::1]:5000"),
        ("postgresql+psycopg2://alice:hun/ter2@db/mlflow", "postgresql+psycopg2://***@db/mlflow"),
        ("ssh://git:hunter2@host/a.git", "ssh://***@host/a.git"),
        ("HTTP://Alice:hunter2@HOST", "HTTP://***@HOST"),
        ("http://host?token=hunter2&page=2", "http://host?token=***&page=2"),
        ("with url: /get?a=1&api_key=hunter2 (Caused by", "with url: /get?a=1&api_key=*** (Caused by"),
        ("first http://a:hunter2@b then http://c:hunter2@d.", "first http://***@b then http://***@d."),
        (
            "mssql+pyodbc:///?odbc_connect=Driver%3DX%3BPWD%3Dhunter2",
            "mssql+pyodbc:///?odbc_connect=***",
        ),
        ("('http://a:hunter2@b', 3)", "('http://***@b', 3)"),
    ],
)
def test_secrets_of_an_address_are_masked(given: str, shown: str) -> None:
    assert redacted(given) == shown
    assert redacted(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/me/a@b/mlflow.db",
        "http://127.0.0.1:5000/#/experiments/1",
        "train.steps=100 is beyond; mail to me@host",
        "git@github.com:someone/project.git",
        "see http://host/page and me@elsewhere",
    ],
)
def test_text_without_secrets_stays_as_it_is(text: str) -> None:
    assert redacted(text) == text


def test_an_address_read_back_connects_with_the_secrets_that_the_environment_has() -> None:
    whole = "http://alice:hunter2@host:5000"
    assert with_secrets_of("http://***@host:5000", whole) == whole
    assert with_secrets_of("http://***@other:5000", whole) == "http://***@other:5000"
    assert with_secrets_of("http://***@host:5000", None) == "http://***@host:5000"


def test_a_configuration_has_no_secrets_and_hands_them_over_where_it_is_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = "http://alice:hunter2@host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    before = dict(os.environ)
    resolved = resolve([f"tracking.uri='{whole}'"])
    searched = request.read(["sweep=quick", f"tracking.uri='{whole}'"], None)
    load([f"tracking.uri='{whole}'"])
    assert dict(os.environ) == before, "loading has an effect"
    assert "hunter2" not in json.dumps(as_dict(resolved.config)) + repr(resolved) + repr(searched.config)
    for found in (resolved, searched):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
        found.hand_over()
        assert os.environ["MLFLOW_TRACKING_URI"] == uri_of(found.config.tracking) == whole


DEFECT = """
import logging, sys, threading, warnings
ADDRESS = "postgresql://alice:" + "hunter2" + "@host/db"
def fail():
    raise KeyError(ADDRESS)
class Odd:
    def __del__(self):
        raise RuntimeError(ADDRESS)
warnings.warn(ADDRESS)
logging.error("cannot reach %s", ADDRESS)
print("to", ADDRESS)
print("to", ADDRESS, file=sys.stderr)
thread = threading.Thread(target=fail)
thread.start()
thread.join()
Odd()
try:
    fail()
except KeyError as error:
    raise RuntimeError(f"(Caused by {ADDRESS})\\nsee http://host?token=" + "hunter2") from error
"""
"""A module that ends like a defect in a library that knows an address."""


def test_nothing_that_a_command_writes_has_secrets_tracebacks_of_defects_included(tmp_path: Path) -> None:
    (tmp_path / "defect.py").write_text(DEFECT)
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.cli.parent_death", "defect"],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(tmp_path)])},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 4 and done.stderr.count("postgresql://***@host/db") >= 6
    assert "http://host?token=***" in done.stderr
    assert done.stdout == "to postgresql://***@host/db\n"
    assert "hunter2" not in done.stderr.replace('"hunter2"', "")  # its own lines stand there as they are


def test_what_a_sweep_keeps_of_its_command_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    asked = request.read(["sweep=quick", "tracking.uri='http://alice:hunter2@host'"], None)
    kept = json.dumps(folder.described(asked))
    assert "hunter2" not in kept
    assert "alice" not in kept and "tracking.uri" not in kept


def test_an_address_whose_secrets_are_lost_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    config = TrackingConfig(kind="mlflow", uri="http://***@host:5000", experiment="test")
    with pytest.raises(
        TrackingError, match=r"http://\*\*\*@host:5000 lacks user and password: set MLFLOW_TRACK"
    ):
        uri_of(config)


def test_a_command_that_brings_an_experiment_back_can_be_typed_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = SimpleNamespace(experiment_id="7")
    for address, told in (
        ("http://host", "(MLFLOW_TRACKING_URI='http://host' mlflow experiments restore -x 7)"),
        (
            "http://alice:hunter2@host",
            "(set MLFLOW_TRACKING_URI to all of it, and mlflow experiments restore -x 7)",
        ),
    ):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        config = TrackingConfig(kind="mlflow", uri=redacted(address), experiment="test")
        said = deletion(config, gone)  # pyright: ignore[reportArgumentType]
        assert told in said and "hunter2" not in said
