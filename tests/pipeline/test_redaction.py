"""Addresses lose their secrets, and nothing else changes."""

import pytest

from pipeline.redaction import redacted, with_secrets_of


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
