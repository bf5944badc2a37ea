"""A small prepared data set."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sweep_runs import short_folder
from training_runs import end, start

from pipeline.cli.command import main
from pipeline.prepare import stage as prepare


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that name it."""
    folder: Path = tmp_path_factory.mktemp("data")
    paths = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    assert main(prepare.STAGE, prepare.run, ["experiment=tiny", *paths]) == 0
    return paths


@pytest.fixture(scope="session")
def straight_on_two(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on two processes that nothing interrupted."""
    folder: Path = tmp_path_factory.mktemp("straight-on-two")
    code, messages = end(start(data, folder, "train.launch.processes=2"))
    assert code == 0, messages
    return folder


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose path is short enough for Ray's sockets."""
    yield from short_folder()
