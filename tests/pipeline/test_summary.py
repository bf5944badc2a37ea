"""The summary says what is there, and names what is damaged, in one line."""

import json
from pathlib import Path

import pytest

from pipeline import summary
from pipeline.cli.command import explained
from pipeline.config import loader


@pytest.mark.parametrize(
    "content", ["", "[1]", '{"fid": "x"}', '{"at_initialisation": {"fid": null}}', "[" * 100_000]
)
def test_damaged_metrics_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    found = loader.load([f"paths.evaluate='{tmp_path}'"])
    monkeypatch.setattr(summary, "load", lambda: found)
    (tmp_path / "metrics.json").write_text(content)
    assert explained("summary", summary.main) == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"summary: {tmp_path}/metrics.json") and said.err.count("\n") == 1
    (tmp_path / "metrics.json").write_text(json.dumps({"fid": 2.5, "at_initialisation": {}}))
    summary.main()
    assert "fid                             2.5\n" in capsys.readouterr().out


def test_it_tells_the_store_that_the_configuration_names(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = loader.load(["tracking.uri='http://alice:hunter2@host:5000'"])
    monkeypatch.setattr(summary, "load", lambda: found)
    summary.main()
    assert "runs         http://***@host:5000\n" in capsys.readouterr().out
