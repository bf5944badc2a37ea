"""Folders appear whole or not at all."""

from pathlib import Path

import pytest

from gram.folders import write_folder


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_all_files_are_written_and_nothing_else_stays(tmp_path: Path) -> None:
    write_folder(tmp_path / "deep" / "folder", {"a": b"1", "b": b""})
    assert contents(tmp_path / "deep" / "folder") == {"a": b"1", "b": b""}
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["folder"]


def test_a_folder_that_was_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"old": b"1", "both": b"1"})
    write_folder(tmp_path / "x", {"new": b"2", "both": b"2"})
    assert contents(tmp_path / "x") == {"new": b"2", "both": b"2"}
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_an_interrupted_writer_left_is_no_obstacle(tmp_path: Path) -> None:
    for name in (".x.partial", ".x.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(b"?")
    write_folder(tmp_path / "x", {"a": b"1"})
    write_folder(tmp_path / "x", {"a": b"2"})
    assert contents(tmp_path / "x") == {"a": b"2"}
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_file_that_cannot_be_written_leaves_the_old_folder_and_no_rest(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {"a": b"1"})
    with pytest.raises(OSError):
        write_folder(tmp_path / "x", {"a": b"2", "no/such/folder": b""})
    assert contents(tmp_path / "x") == {"a": b"1"}
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "x", {"a": b"1"})
    rename = Path.rename

    def fails_for_the_new_one(self: Path, target: Path) -> Path:
        if self.name == ".x.partial":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails_for_the_new_one)
    with pytest.raises(OSError, match="no"):
        write_folder(tmp_path / "x", {"a": b"2"})
    assert contents(tmp_path / "x") == {"a": b"1"}
