"""Ray's temporary folder: a path short enough."""

import tempfile
from pathlib import Path

import pytest

from pipeline.sweep.tune.cluster import ray_folder
from pipeline.sweep.tune.cluster.ray_folder import ClusterError


def test_a_long_tmpdir_is_left_for_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    with ray_folder.made() as folder:
        sockets = f"{folder}/session_2026-11-28_09-22-48_091732_4194304/sockets/plasma_store"
        assert len(sockets) <= 107
        assert not list(deep.iterdir())
    assert not folder.exists()


def test_no_short_place_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("d" * 60)))
    monkeypatch.setattr(ray_folder, "_ELSEWHERE", ("/dev/null",))
    told = r"TMPDIR = /.*d: .* set TMPDIR to a folder of at most 26 charac"
    with pytest.raises(ClusterError, match=told), ray_folder.made():
        pass
