"""The page of a sweep stands for itself: everything in it, nothing fetched."""

import csv
import re
import subprocess
import sys
from pathlib import Path

import pytest
from html_pages import Page
from sweep_folders import PROTOCOL, sampled, trial, write_sweep

from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep.report import page as report
from pipeline.sweep.trials import Trial

TRIALS = [
    sampled(0, "hierarchical", 6, 117.0, gpus=0.5),
    sampled(1, "manifold", 6, 27.4),
    sampled(2, "planes", 6, None, status="failed", reason="loss <nan> & more", attempts=3, protocol=None),
    sampled(3, "spheres", 6, 60.0, status="stopped", reason="not promising at step 40", steps=40),
    sampled(4, "neusample", 6, None, status="pending", steps=0, images_per_second=None, memory_gib=None),
    sampled(5, "stratified", 6, float("nan")),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sweep(tmp_path_factory.mktemp("sweeps") / "some", TRIALS)
    assert report.write(folder) == folder / "report.html"
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def test_the_page_refers_to_nothing_outside_of_itself(folder: Path, page: Page) -> None:
    assert page.references
    assert all(reference.startswith("data:image/") for reference in page.references)
    text = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", (folder / "report.html").read_text())
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", text)


def test_all_trials_are_in_the_table_best_first_with_status_and_cost(page: Page) -> None:
    rows = [row for row in page.rows if row]
    assert [row[1] for row in rows] == [
        f"{kind}, 6 points"
        for kind in ("manifold", "hierarchical", "spheres", "neusample", "stratified", "planes")
    ]
    best, second, stopped, *_, failed = rows
    assert best[2:6] == ["finished", "27.4", "effnetlite0, 1000 v 1000, 32x32", "6"]
    assert second[-2:] == ["30", "60"]
    assert stopped[2] == "stopped"
    assert failed[2:5] == ["failed, attempt 3", "", ""]


def test_reasons_pictures_and_how_to_go_on_are_told(folder: Path, page: Page) -> None:
    text = " ".join(" ".join(page.words).split())
    assert "after 100 steps and 3 attempts: loss <nan> & more" in text
    assert "after 40 steps: not promising at step 40" in text
    assert "loss &lt;nan&gt; &amp; more" in (folder / "report.html").read_text()
    assert text.count("no images yet") == 1
    assert "python -m pipeline.sweep sweep=some experiment=tiny --apply dvc repro" in text
    assert '"num_fakes": 1000' in text


def test_the_csv_holds_all_numbers(folder: Path) -> None:
    with (folder / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [f"00{k}-trial" for k in (1, 0, 3, 4, 5, 2)]
    assert rows[1] | {
        "sampler.kind": "hierarchical", "sampler.points": "6", "objective": "117.0", "gpu_seconds": "30.0",
        "status": "finished", "metric": "distance/fid_effnetlite0_1000",
    } == rows[1]  # fmt: skip
    assert rows[-1]["objective"] == ""


@pytest.mark.parametrize(
    "trials",
    [[], [trial(0)], [trial(0, None, status="running")], [trial(0, None, status="failed", reason="no")]],
    ids=["none", "single", "running", "failed"],
)
def test_any_sweep_has_a_page(tmp_path: Path, trials: list[Trial]) -> None:
    text = Page(report.write(write_sweep(tmp_path, trials)).read_text()).words
    assert any("trial" in words for words in text)


def test_a_sweep_without_a_sweep_yaml_has_a_page(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [trial(0)])
    (folder / "sweep.yaml").unlink()
    assert "Trials: 1 finished; 1:00 of training in total." in report.write(folder).read_text()


def test_names_are_text_not_html(tmp_path: Path) -> None:
    evil = trial(
        0, values={"data.path": "<script>alert(1)</script>"}, protocol={**PROTOCOL, "a": "</pre><b>"}
    )
    text = report.write(write_sweep(tmp_path, [evil, trial(1, values={"data.path": "x"})])).read_text()
    assert "<script" not in text
    assert "</pre><b>" not in text


def test_large_pictures_become_small_ones(tmp_path: Path) -> None:
    import numpy as np

    from pipeline.display.images import write_png

    folder = write_sweep(tmp_path, [trial(0, None)])
    before = report.write(folder).stat().st_size
    noise = np.random.default_rng(0).integers(0, 255, (500, 500, 3), np.uint8)
    write_png(folder / "trials/000-trial/train/samples/grid-0000200.png", noise)
    text = report.write(folder).read_text()
    assert "data:image/jpeg" in text
    assert len(text) - before < 500_000


def test_the_command_writes_a_report(tmp_path: Path) -> None:
    folder = write_sweep(tmp_path, [trial(0)])
    command = [sys.executable, "-m", "pipeline.sweep.report", str(folder)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, f"report: {folder}/report.html\n")
    assert (folder / "report.png").exists()


def test_a_folder_without_a_sweep_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main([str(tmp_path)]) == 1
    assert f"report: {tmp_path} holds no sweep" in capsys.readouterr().err
    assert report.main([]) == 2
    assert "usage: python -m pipeline.sweep.report FOLDER" in capsys.readouterr().err
