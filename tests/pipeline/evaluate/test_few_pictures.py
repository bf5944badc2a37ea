"""An evaluation against few pictures measures what can be measured, and says why the rest cannot."""

import json
from pathlib import Path

import numpy as np
import pytest
import training_runs
from html_pages import Page

from gram.data.writer import DatasetWriter
from pipeline.cli.command import main
from pipeline.evaluate import stage as evaluate
from pipeline.report import stage as report


@pytest.fixture(scope="module")
def model(data: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    assert training_runs.run(data, folder, "train.steps=1", "train.sample_every=100") == 0
    return folder / "out/model"


def arguments(model: Path, folder: Path, count: int) -> list[str]:
    """Of stages that find so many pictures to compare with, and no held-out ones."""
    with DatasetWriter(folder / "train", size=16, fov=0.209) as writer:
        for i in range(count):
            writer.add(np.full((16, 16, 3), 50 * i, np.uint8), (1.5, 1.4 + 0.1 * i), identity=i)
        writer.finish(kind="custom", near=0.88, far=1.12, background="plane", split="train", licence="")
    places = {name: folder / name for name in ("evaluate", "export", "checkpoints")}
    places |= {"train_data": folder / "train", "test_data": folder / "none", "report": folder / "report.html"}
    given = ["experiment=tiny", "tracking=none", f"model='{model}'"]
    return [*given, *(f"paths.{name}='{path}'" for name, path in places.items())]


def test_training_on_one_picture_cannot_measure_distances_and_says_so_at_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["data=images", "data.size=16", *arguments(model, tmp_path, 1)[3:], "train.measure_every=1"]
    assert training_runs.run(given, tmp_path) == 1
    message = capsys.readouterr().err
    assert "train.measure_every = 1, but there is 1 image to compare with: distances need 2" in message
    assert "train 1/" not in message


@pytest.mark.parametrize(
    ("count", "names", "halves"),
    [(1, [], None), (2, ["fid", "kid"], None), (4, ["fid", "kid", "precision", "recall"], ["fid", "kid"])],
)
def test_what_pictures_suffice_for_is_measured(
    model: Path, tmp_path: Path, count: int, names: list[str], halves: list[str] | None
) -> None:
    given = arguments(model, tmp_path, count)
    assert main(evaluate.STAGE, evaluate.run, given) == 0
    metrics = json.loads((tmp_path / "evaluate/metrics.json").read_text())
    protocol = json.loads((tmp_path / "evaluate/protocol.json").read_text())
    assert [n for n, x in metrics.items() if not isinstance(x, dict)] == [f"{n}_effnetlite0" for n in names]
    assert list(metrics.get("real_against_real", [])) == [f"{n}_effnetlite0" for n in halves or []]
    assert "sampling_noise" in metrics and (tmp_path / "evaluate/samples.png").is_file()
    why = "1 real image to compare with, but distances need at least 2"
    assert protocol["trained"].get("skipped") == (None if names else why)
    assert main(report.STAGE, report.run, given) == 0
    text = " ".join(" ".join(Page((tmp_path / "report.html").read_text()).words).split())
    assert (f"Not measured: {why}." in text) == (count == 1)
