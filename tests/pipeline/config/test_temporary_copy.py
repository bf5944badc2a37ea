"""The project that a temporary copy of DVC's was made of."""

from pathlib import Path

import pytest

from pipeline.config.temporary_copy import lasting, original


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
