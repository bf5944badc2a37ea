"""The whole chain, small: `dvc repro` in a fresh clone, twice, and the experiments that the README names."""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import trimesh
import yaml
from clones import call, make_clone
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from pipeline.evaluate.stage import PARTS

ASCII = {"LC_ALL": "POSIX", "PYTHONUTF8": "0"}
"""A locale whose encoding holds no more than ASCII, as in small containers."""
SIZE = 16


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository of its own with the small experiment as its params.yaml, run once, in an ASCII locale."""
    folder = tmp_path_factory.mktemp("clone") / "project"
    make_clone(folder)
    call(folder, "dvc", "repro", **ASCII)
    yield folder
    shutil.rmtree(folder)


def stages_that_ran(output: str) -> list[str]:
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")]


def test_every_promised_file_is_there_and_opens(clone: Path) -> None:
    pictures = yaml.safe_load((clone / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
    assert len(pictures) > len(PARTS)
    for name in pictures:
        with Image.open(clone / name) as image:
            assert np.asarray(image).std() > 0, name
    metrics = json.loads((clone / "runs/evaluate/metrics.json").read_text())
    protocol = json.loads((clone / "runs/evaluate/protocol.json").read_text())
    assert set(protocol) == {"trained", "at_initialisation", "real_against_real", "made_of", *PARTS}
    for values in (metrics, metrics["at_initialisation"], metrics["real_against_real"]):
        numbers = {name: value for name, value in values.items() if not isinstance(value, dict)}
        assert set(numbers) == {f"{name}_effnetlite0" for name in ("fid", "kid", "precision", "recall")}
        assert np.isfinite(list(numbers.values())).all()
    assert protocol["trained"]["num_fakes"] == protocol["trained"]["num_reals"] == 8
    for suffix in ("glb", "ply"):
        mesh = trimesh.load_mesh(clone / f"runs/export/seed_0000.{suffix}")
        assert isinstance(mesh, trimesh.Trimesh)
        assert len(mesh.faces) > 0
    with Image.open(clone / "runs/export/seed_0000.gif") as turntable:
        assert isinstance(turntable, GifImageFile)
        assert (turntable.n_frames, turntable.size) == (3, (SIZE, SIZE))
    facts = json.loads((clone / "runs/export/meshes.json").read_text())["seed_0000"]
    assert facts["watertight"] == (facts["why_not_watertight"] is None)


def test_a_second_repro_runs_nothing(clone: Path) -> None:
    assert stages_that_ran(call(clone, "dvc", "repro")) == []
    assert call(clone, "git", "status", "--porcelain").split() in ([], ["A", "dvc.lock"])


def test_mlflow_has_one_run_with_parameters_curves_pictures_model_metrics_and_origin(clone: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    experiment = client.get_experiment_by_name("gram")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["train.steps"] == "4"
    assert len(client.get_metric_history(run.info.run_id, "loss/discriminator")) == 4
    measured = json.loads((clone / "runs/evaluate/metrics.json").read_text())
    assert run.data.metrics["fid_effnetlite0"] == pytest.approx(measured["fid_effnetlite0"])
    assert run.data.tags["mlflow.source.git.commit"] == call(clone, "git", "rev-parse", "HEAD").strip()
    data = json.loads((clone / "data/train/meta.json").read_text())
    assert run.data.tags["data_hash"] == data["content_hash"]
    folders = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"model", "evaluate", "export", "images"} <= folders


def test_the_summary_names_what_is_there(clone: Path) -> None:
    text = call(clone, sys.executable, "-m", "pipeline.summary")
    assert "missing" not in text
    for part in ("runs/evaluate/sweep.png", "runs/export", "fid_effnetlite0", f"sqlite:///{clone}/mlflow.db"):
        assert part in text


def test_metrics_and_plots_show_the_run(clone: Path) -> None:
    shown = json.loads(call(clone, "dvc", "metrics", "show", "--json"))
    assert "fid_effnetlite0" in shown[""]["data"]["runs/evaluate/metrics.json"]["data"]
    call(clone, "dvc", "plots", "show", "-o", "plots")
    page = (clone / "plots/index.html").read_text()
    assert "loss/discriminator" in page
    assert "sweep.png" in page


@pytest.mark.parametrize("change", ["train.steps=5", "sampler.points=4"])
def test_an_experiment_runs_training_onward_only(clone: Path, change: str) -> None:
    option, value = change.split("=")
    file = clone / "params.yaml"
    before = file.read_text()
    group, name = option.split(".")
    content = json.loads(
        call(
            clone,
            sys.executable,
            "-c",
            "import yaml, json; print(json.dumps(yaml.safe_load(open('params.yaml'))))",
        )
    )
    content[group][name] = int(value)
    file.write_text(json.dumps(content))
    try:
        changed = json.loads(call(clone, "dvc", "status", "--json"))
        assert set(changed) == {"train", "report"}  # the page tells the options
    finally:
        file.write_text(before)


def test_dvc_exp_run_trains_on_and_leaves_the_data_alone(clone: Path) -> None:
    ran = stages_that_ran(call(clone, "dvc", "exp", "run", "-S", "train.steps=5"))
    assert ran == ["train", "evaluate", "export", "report"]
    steps = [
        json.loads(line)["step"] for line in (clone / "runs/train/metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3, 4, 5]
    unfinished = list((clone / "checkpoints").glob("*/metrics.jsonl"))
    assert len(unfinished) == 1, "raising the steps goes on in the same folder"


def test_an_experiment_in_a_temporary_copy_goes_on_from_the_project_and_records_in_it(clone: Path) -> None:
    from mlflow.tracking import MlflowClient

    said = call(clone, "dvc", "exp", "run", "--temp", "-S", "train.steps=6", "train")
    assert re.search(rf"going on from step \d in {re.escape(str(clone))}/checkpoints/", said)
    assert list((clone / ".dvc/tmp/exps").glob("*/mlflow.db")) == []
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    experiment = client.get_experiment_by_name("gram")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "loss/discriminator")) == 6
    files = list((clone / "mlruns" / run.info.run_id / "artifacts/images").glob("grid+step+6+*.png"))
    assert len(files) == 1


def test_an_experiment_of_a_queue_goes_on_from_the_project_and_records_in_it(clone: Path) -> None:
    from mlflow.tracking import MlflowClient

    call(clone, "dvc", "exp", "run", "--queue", "-S", "train.steps=7", "train")
    call(clone, "timeout", "--kill-after=10", "300", "dvc", "exp", "run", "--run-all")
    shown = call(clone, "dvc", "queue", "status")
    assert set(re.findall("Success|Failed|Queued|Running", shown)) == {"Success"}
    assert list((clone / ".dvc/tmp/exps").glob("*/mlflow.db")) == []
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    experiment = client.get_experiment_by_name("gram")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "loss/discriminator")) == 7
    (unfinished,) = (clone / "checkpoints").glob("*/metrics.jsonl")
    assert len(unfinished.read_text().splitlines()) == 7


def test_a_change_of_an_unselected_preset_runs_nothing(clone: Path) -> None:
    preset = clone / "conf/train/heads32.yaml"
    before = preset.read_text()
    preset.write_text(before.replace("batch_size: 8", "batch_size: 9"))
    try:
        assert json.loads(call(clone, "dvc", "status", "--json")) == {}
    finally:
        preset.write_text(before)
