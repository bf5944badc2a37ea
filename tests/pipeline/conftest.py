"""A small prepared data set."""

from pathlib import Path

import pytest

from pipeline import prepare
from pipeline.cli import main


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Arguments that name it."""
    folder: Path = tmp_path_factory.mktemp("data")
    paths = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    assert main(prepare.STAGE, prepare.run, ["experiment=tiny", *paths]) == 0
    return paths
