"""Results of a model that came from elsewhere lie apart, unless the user says where."""

from pathlib import Path

import pytest

from pipeline.config.destinations import beside_own_runs, name_of
from pipeline.config.loader import Resolved, resolve

TAKEN = {"evaluate", "export", "report.html"}


def of(*arguments: str, stage: str = "export") -> Resolved:
    return beside_own_runs(resolve(["experiment=tiny", *arguments]), stage)


@pytest.mark.parametrize(
    ("model", "folder"),
    [
        ("models/heads64", "runs/heads64"),
        ("models/heads64/", "runs/heads64"),
        ("/elsewhere/clone/runs/train/best", "runs/clone-best"),
        ("runs/sweeps/levels/trials/003-points/train/model", "runs/003-points-model"),
        ("models/train", "runs/models-train"),
    ],
)
def test_a_model_from_elsewhere_has_folders_of_its_own(model: str, folder: str) -> None:
    found = of(f"paths.model={model}")
    paths = found.config.paths
    assert (paths.evaluate, paths.export, paths.report) == tuple(
        f"{folder}/{name}" for name in ("evaluate", "export", "report.html")
    )
    assert found.sources["paths.export"] == f"model={model}"


def test_where_results_go_is_told_where_there_is_a_model() -> None:
    told = "models/heads64 is not the model of runs/train: writing to runs/heads64/export"
    assert of("paths.model=models/heads64").notes == [told]
    assert of("paths.model=models/none").notes == []


@pytest.mark.parametrize("model", ["runs/train/model", "runs/train/best", "runs/../runs/train/model"])
def test_models_of_the_run_have_the_run_s_folders(model: str) -> None:
    assert of(f"paths.model={model}") == resolve(["experiment=tiny", f"paths.model={model}"])
    assert of(f"paths.model={model}").config.paths.export == "runs/export"


def test_models_of_a_run_elsewhere_that_is_named_have_its_folders() -> None:
    assert of("paths.model=/out/train/model", "paths.train=/out/train").config.paths.export == "runs/export"


@pytest.mark.parametrize("given", ["mine", "runs/export"])
def test_what_the_user_sets_stays(given: str) -> None:
    found = of("paths.model=models/heads64", f"paths.export={given}")
    assert found.config.paths.export == given
    assert found.config.paths.evaluate == "runs/heads64/evaluate"
    assert not found.notes, "nothing is written elsewhere than was said"


def test_a_linked_folder_has_the_name_of_the_model_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "model").symlink_to("real")
    assert name_of(str(tmp_path / "model"), taken=TAKEN) == "real"
