"""Addresses lose their secrets, and nothing else changes."""

import json
import os

import pytest

from pipeline.config import as_dict, load
from pipeline.redaction import redacted, with_secrets_of
from pipeline.schema import TrackingConfig
from pipeline.store import TrackingError, uri_of
from pipeline.sweeping import folder, request


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


def test_a_configuration_hands_secrets_to_the_environment_and_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = "http://alice:hunter2@host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other")
    config = load([f"tracking.uri='{whole}'"])
    assert "hunter2" not in json.dumps(as_dict(config))
    assert os.environ["MLFLOW_TRACKING_URI"] == uri_of(config.tracking) == whole


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
