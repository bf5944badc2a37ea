"""Ray's temporary folder: a path short enough, leftovers of the dead removed, those of the living left."""

import fcntl
import tempfile
from pathlib import Path

import pytest

from pipeline.sweeping import ray_folder
from pipeline.sweeping.ray_folder import ClusterError


def test_a_long_tmpdir_is_left_for_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    folder, lock = ray_folder.make()
    try:
        sockets = f"{folder}/session_2026-11-28_09-22-48_091732_4194304/sockets/plasma_store"
        assert len(sockets) <= 107
        assert not list(deep.iterdir())
    finally:
        ray_folder.remove(folder)
        lock.close()


def test_no_short_place_is_told_with_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("d" * 60)))
    monkeypatch.setattr(ray_folder, "_ELSEWHERE", ("/dev/null",))
    with pytest.raises(ClusterError, match=r"TMPDIR = /.*d: .* set TMPDIR to a folder of at most 26 charac"):
        ray_folder.make()


def test_leftovers_go_once_nobody_holds_them(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    left, held, foreign = (short / f"{ray_folder.PREFIX}{name}" for name in ("left", "held", "foreign"))
    for folder in (left, held, foreign):
        folder.mkdir()
        (folder / "session").write_text("")
    (left / "lock").touch()
    with (held / "lock").open("wb") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        folder, lock = ray_folder.make()
        assert {path.name for path in short.iterdir()} == {held.name, foreign.name, folder.name}
    lock.close()
    assert {path.name for path in folder.iterdir()} == {"lock"}
