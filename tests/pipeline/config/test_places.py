"""Paths that nothing can be written to, or that one stage would remove for another, are refused at once."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.config.loader import load
from pipeline.config.options import ConfigError
from pipeline.config.places import lasting, original

OPTIONS = (
    "train_data",
    "test_data",
    "checkpoints",
    "train",
    "evaluate",
    "export",
    "noise",
    "report",
    "model",
)


def refused(given: Sequence[str]) -> str:
    with pytest.raises(ConfigError) as error:
        load(["experiment=tiny", *given])
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", ["", "  ", "a\0b"], ids=["empty", "blank", "NUL"])
def test_no_path_is_empty_or_holds_nul(option: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = refused([f'paths.{option}="{value}"'])
    assert f"paths.{option} = {value!r}: " in message


@pytest.mark.parametrize("option", OPTIONS[:-1])
@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/x", "{file}/x"])
def test_devices_and_places_below_files_are_refused(option: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert f"paths.{option} = " in refused([f"paths.{option}='{place.format(file=tmp_path / 'file')}'"])


@pytest.mark.parametrize("option", ["checkpoints", "train", "evaluate", "export", "noise"])
def test_a_file_where_a_folder_goes_is_refused(option: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "which is a file: give a folder" in refused([f"paths.{option}='{tmp_path}/file'"])


def test_a_folder_where_the_page_goes_is_refused(tmp_path: Path) -> None:
    assert "which is a folder: give the name of a page" in refused([f"paths.report='{tmp_path}'"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["test_data=data/train"], "which is paths.train_data, too"),
        (["test_data=data/x/../train"], "which is paths.train_data, too"),
        (["test_data=data/train/test"], "which lies in paths.train_data"),
        (["train_data=data/test/train"], "which lies in paths.test_data"),
        (["noise=runs/evaluate"], "which is paths.evaluate, too"),
        (["export=runs/evaluate/export"], "which lies in paths.evaluate"),
        (["train=runs/export"], "which lies in paths.export"),
        (["checkpoints=data/train/c"], "which lies in paths.train_data"),
        (["report=runs/export/report.html"], "which lies in paths.export"),
        (["export=runs/train/model"], "which is where training writes model"),
        (["evaluate=runs/train/samples/e"], "which is where training writes samples"),
        (["report=runs/train/curves.csv"], "which is where training writes curves.csv"),
    ],
)
def test_what_one_stage_would_remove_for_another_is_refused(given: list[str], message: str) -> None:
    assert message in refused([f"paths.{one}" for one in given])


def test_places_are_compared_where_links_lead(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk")
    given = [f"paths.train_data='{tmp_path}/data/x'", f"paths.test_data='{tmp_path}/disk/x/y'"]
    assert "which lies in paths.train_data" in refused(given)


def test_folders_side_by_side_within_that_of_training_are_taken(tmp_path: Path) -> None:
    names = ("checkpoints", "evaluate", "export", "noise")
    given = [f"paths.train='{tmp_path}'", *(f"paths.{name}='{tmp_path}/{name}'" for name in names)]
    assert load(["experiment=tiny", *given, f"paths.report='{tmp_path}/report.html'"]).paths.train


@pytest.mark.parametrize(
    ("folder", "project"),
    [
        ("/home/me/gram/.dvc/tmp/exps/tmpa1b2", "/home/me/gram"),
        ("/home/me/gram/.dvc/tmp/exps/temp/runs/train", "/home/me/gram"),
        ("/home/me/gram", None),
        ("/home/me/gram/.dvc/tmp", None),
        ("/home/me/gram/.dvc/tmp/exps", None),
        ("/home/me/.dvc/exps/tmp/gram", None),
    ],
)
def test_a_temporary_copy_knows_its_project(folder: str, project: str | None) -> None:
    assert original(Path(folder)) == (None if project is None else Path(project))


def test_paths_that_last_are_those_of_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / ".dvc/tmp/exps/tmpa1b2"
    copy.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert lasting("checkpoints") == Path("checkpoints")
    monkeypatch.chdir(copy)
    assert lasting("checkpoints") == tmp_path / "checkpoints"
    assert lasting("/disk/checkpoints") == Path("/disk/checkpoints")
