"""Folders and files appear whole or not at all, and what is no leftover stays."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gram.system import folders
from gram.system.folders import remove_folder, replacing, sweep, sweep_inside, write_file, write_folder


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.fixture(params=[True, False], ids=["exchanged at once", "one after the other"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the file system can exchange two folders."""
    if not request.param:
        monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    return request.param


@pytest.fixture(scope="module")
def dead() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def aside(path: Path, pid: int, machine: str | None = None) -> Path:
    return path.with_name(f".{path.name}.{machine or folders._machine()}-{pid}.partial")


def test_all_files_are_written_and_nothing_else_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "folder", {"a": b"1", "b": b""})
    assert contents(tmp_path / "deep" / "folder") == {"a": b"1", "b": b""}
    assert names(tmp_path / "deep") == ["folder"]


def test_a_folder_that_was_there_is_replaced_as_a_whole(tmp_path: Path, way: bool) -> None:
    write_folder(tmp_path / "x", {"old": b"1", "both": b"1"})
    write_folder(tmp_path / "x", {"new": b"2", "both": b"2"})
    assert contents(tmp_path / "x") == {"new": b"2", "both": b"2"}
    assert names(tmp_path) == ["x"]


def test_two_folders_are_exchanged_at_once_where_linux_can(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b" / "deep").mkdir(parents=True)
    assert folders._exchange(tmp_path / "a", tmp_path / "b") == (sys.platform == "linux")
    assert (tmp_path / "a" / "deep").exists() == (sys.platform == "linux")


def test_what_interrupted_writers_of_before_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in (".x.partial", ".x.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(b"?")
    write_folder(tmp_path / "x", {"a": b"1"})
    write_folder(tmp_path / "x", {"a": b"2"})
    assert contents(tmp_path / "x") == {"a": b"2"}
    assert names(tmp_path) == ["x"]


def test_a_file_that_cannot_be_written_leaves_the_old_folder_and_no_rest(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"a": b"1"})
    with pytest.raises(OSError):
        write_folder(tmp_path / "x", {"a": b"2", "no/such/folder": b""})
    assert contents(tmp_path / "x") == {"a": b"1"}
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [OSError("no"), KeyboardInterrupt()])
def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write_folder(tmp_path / "x", {"a": b"1"})
    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    rename = Path.rename

    def fails_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == "x" and self.parent.name.endswith(".partial"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(type(error)):
        write_folder(tmp_path / "x", {"a": b"2"})
    assert contents(tmp_path / "x") == {"a": b"1"}
    assert names(tmp_path) == ["x"]


def test_what_a_dead_process_had_moved_away_comes_back(tmp_path: Path, dead: int) -> None:
    left = aside(tmp_path / "x", dead)
    (left / "x").mkdir(parents=True)
    write_folder(left / folders._BEFORE, {"a": b"1"})
    sweep(tmp_path / "x")
    assert contents(tmp_path / "x") == {"a": b"1"}
    assert names(tmp_path) == ["x"]


def test_leftovers_of_the_dead_go_and_those_of_the_living_and_of_others_stay(
    tmp_path: Path, dead: int
) -> None:
    """The parent of this process lives; the user's own folders have other names."""
    path, living = tmp_path / "x", os.getppid()
    own = ["x.old", "x.partial", ".x", ".y.partial", ".x.y.partial.d"]
    for name in own:
        (tmp_path / name).mkdir()
    others = [aside(path, living), aside(path, dead, "elsewhere"), aside(tmp_path / "x.y", dead)]
    for one in [*others, aside(path, dead)]:
        one.mkdir()
    sweep(path)
    assert names(tmp_path) == sorted([*own, *[one.name for one in others]])
    sweep(path, alone=True)
    assert names(tmp_path) == sorted([*own, aside(tmp_path / "x.y", dead).name])


def test_a_folder_of_one_s_own_is_swept_of_all_leftovers(tmp_path: Path, dead: int) -> None:
    for name in ("a.png", "step-1"):
        aside(tmp_path / name, dead).mkdir()
        (tmp_path / name).write_text("whole")
    sweep_inside(tmp_path)
    assert names(tmp_path) == ["a.png", "step-1"]


@pytest.mark.parametrize("there", [True, False], ids=["full", "nothing at its end yet"])
def test_a_symbolic_link_to_a_folder_is_followed_and_stays(tmp_path: Path, there: bool) -> None:
    disk = tmp_path / "disk" / "x"
    (tmp_path / "x").symlink_to(disk)
    if there:
        write_folder(disk, {"old": b"1"})
    write_folder(tmp_path / "x", {"new": b"2"})
    assert (tmp_path / "x").is_symlink()
    assert contents(disk) == {"new": b"2"}
    assert (names(tmp_path), names(tmp_path / "disk")) == (["disk", "x"], ["x"])


def test_a_symbolic_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(OSError, match="a is a symbolic link that leads back to itself: remove it"):
        write_folder(tmp_path / "a", {})


@pytest.mark.parametrize("link", [os.link, os.symlink], ids=["hard", "symbolic"])
def test_a_linked_file_is_replaced_and_what_it_leads_to_stays(tmp_path: Path, link: object) -> None:
    cache, file = tmp_path / "cache", tmp_path / "file"
    cache.write_bytes(b"old")
    cache.chmod(0o444)
    link(cache, file)  # type: ignore[operator]
    write_file(file, b"new")
    assert (cache.read_bytes(), file.read_bytes(), file.is_symlink()) == (b"old", b"new", False)
    assert names(tmp_path) == ["cache", "file"]


def test_a_full_disk_is_told_with_the_name_of_the_file_and_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "a", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"/a cannot be written \(No space left on device\): make room"):
        write_file(tmp_path / "a", b"new")
    assert contents(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize("there", [True, False], ids=["full", "nothing at its end"])
def test_removing_keeps_a_link_to_a_folder_and_what_links_inside_lead_to(tmp_path: Path, there: bool) -> None:
    kept = tmp_path / "kept"
    write_folder(kept, {"a": b"1"})
    (tmp_path / "x").symlink_to(tmp_path / "disk")
    if there:
        write_folder(tmp_path / "disk", {"b": b"1"})
        (tmp_path / "disk" / "link").symlink_to(kept)
    remove_folder(tmp_path / "x")
    assert names(tmp_path) == ["kept", "x"]
    assert (tmp_path / "x").is_symlink()
    assert contents(kept) == {"a": b"1"}
    remove_folder(tmp_path / "nothing")


def test_an_empty_folder_is_given_and_vanishes_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "x") as fresh:
        assert (fresh.name, names(fresh)) == ("x", [])
        raise RuntimeError
    assert names(tmp_path) == []
