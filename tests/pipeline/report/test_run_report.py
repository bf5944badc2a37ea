"""The report of a run stands for itself, says what every number is, and leaves out what is not there."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_pages import Page

from pipeline.config.loader import load
from pipeline.config.schema import Config
from pipeline.display import images
from pipeline.evaluate.part import PartResult
from pipeline.report import curves, glossary
from pipeline.report import stage as report
from pipeline.report import tables as numbers
from pipeline.report.exports import Exports

DESCRIBED: dict[str, Any] = {
    "radiance": {"layers": 4, "width": 32},
    "sampler": {"kind": "manifold", "levels": 6, "background_z": -0.12},
    "discriminator": {"size": 32},
    "made_from": {
        "seed": 7, "data_hash": "a" * 64, "fingerprint": "f00d", "run": None, "images": 12800, "steps": 800,
    },
}  # fmt: skip
METRICS = {
    "fid_effnetlite0": 34.56789,
    "at_initialisation": {"fid_effnetlite0": 259.6},
    "real_against_real": {"fid_effnetlite0": 5.5},
    "sharpness": {"edges": 0.25},
}
PROTOCOLS = {
    "trained": {"num_fakes": 1000, "extractor": "effnetlite0"},
    "at_initialisation": {"num_fakes": 1000},
    "real_against_real": {"num_fakes": 1000},
    "sharpness": {"unit": "edges a pixel"},
    "inversion": {"skipped": "the data set has no depth"},
}
VIEWER = '<!DOCTYPE html><html><body><script>if (1 < 2 && "a") { draw() }</script></body></html>'


def picture(value: int) -> images.Pixels:
    return np.full((8, 8, 3), value, np.uint8)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A run's folder as the other stages leave it, small."""
    names = ("train", "evaluate", "export", "train_data")
    found = load([f"paths.{name}='{tmp_path / name}'" for name in names])
    evaluated, exported, trained = (tmp_path / name for name in ("evaluate", "export", "train"))
    for folder in (evaluated, exported, trained):
        folder.mkdir()
    (evaluated / "metrics.json").write_text(json.dumps(METRICS))
    (evaluated / "protocol.json").write_text(json.dumps(PROTOCOLS))
    for name in ("samples", "reals"):
        images.write_png(evaluated / f"{name}.png", picture(100))
    records = [{"step": s, "time": 0.0, "loss/generator": 1.0 / s, "weight/00": None} for s in (1, 2, 3)]
    (trained / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    facts = {"triangles": 12345, "watertight": False, "why_not_watertight": "3 edges are open"}
    (exported / "meshes.json").write_text(json.dumps({"seed_0000": facts}))
    images.write_png(exported / "seed_0000.png", picture(50))
    (exported / "seed_0000.glb").write_bytes(b"x" * 4096)
    (exported / "viewer.html").write_text(VIEWER)
    return found


def page_of(config: Config) -> tuple[str, Page]:
    text = report.as_page(config, DESCRIBED)
    return text, Page(text)


def test_nothing_is_fetched(config: Config) -> None:
    _, page = page_of(config)
    assert len(page.references) > 4
    assert all(reference.startswith(("data:", "#")) for reference in page.references)


def test_numbers_stand_with_those_of_the_untrained_model_and_of_real_pictures(config: Config) -> None:
    _, page = page_of(config)
    rows = [row for row in page.rows if "34.57" in row]
    assert [row[:4] for row in rows] == [["Frechet distance (effnetlite0)↓", "34.57", "259.6", "5.5"]]


def evaluated(config: Config, part: str, values: dict[str, float]) -> numbers.Section:
    """What the report says of a part with these numbers."""
    folder = Path(config.paths.evaluate)
    (folder / "metrics.json").write_text(json.dumps({part: values}))
    (folder / "protocol.json").write_text(json.dumps({part: {"seed": 0}}))
    _, section = numbers.read(folder)
    return section


def as_text(table: numbers.Table) -> list[list[str]]:
    return [["", *(c.title for c in table.columns)], *([r.meaning.title, *r.cells] for r in table.rows)]


def test_numbers_that_belong_together_stand_side_by_side_and_no_row_or_column_is_empty(
    config: Config,
) -> None:
    values = {"error_1": 0.125, "coverage_1": 0.75, "error_12": 0.5, "spread": 0.25, "of_somebody": 8.0}
    warped, others = evaluated(config, "consistency", values).tables
    assert as_text(warped) == [
        ["", "difference", "compared share"],
        ["1 step of the sweep apart", "0.125", "0.75"],
        ["12 steps of the sweep apart", "0.5", ""],
    ]
    assert as_text(others) == [["", "value"], ["spread of the difference", "0.25"], ["of somebody", "8"]]


def test_every_number_of_an_evaluation_is_on_the_page_once(config: Config) -> None:
    values = {"psnr": 21.0, "tuned_psnr": 22.0, "whole_picture_mask_iou": 0.5, "mask_iou": 0.25, "x": 3.0}
    tables = evaluated(config, "inversions", values).tables
    cells = [cell for table in tables for row in table.rows for cell in row.cells if cell]
    assert sorted(cells) == sorted(numbers.shown(value) for value in values.values())


@pytest.mark.parametrize(("beside", "words"), [({"yaw_floor": 1.5}, "real images 1.5"), ({}, "")])
def test_what_stands_on_top_is_beside_what_tells_its_worth(
    config: Config, beside: dict[str, float], words: str
) -> None:
    tiles = evaluated(config, "poses", {"yaw_error": 3.0} | beside).tiles
    assert tiles == [("yaw error, degrees", "3", words)]


@pytest.mark.parametrize("part", list(glossary.PARTS))
def test_what_stands_on_top_has_a_meaning_below(part: str) -> None:
    known = glossary.PARTS[part]
    named = {p.format(row) for grid in known.grids for p in grid.columns for row in grid.rows}
    for line in known.headlines:
        assert {line.name, line.baseline} <= named | set(known.others)


def test_a_part_that_was_skipped_says_why_and_has_no_numbers(config: Config) -> None:
    text, _ = page_of(config)
    assert "Not measured: the data set has no depth." in text
    (section,) = [s for s in numbers.read(Path(config.paths.evaluate)) if s.name == "inversion"]
    assert section.tables == []


def test_every_number_has_its_protocol(config: Config) -> None:
    text, _ = page_of(config)
    assert text.count("Protocol</summary>") == 2  # pictures and sharpness
    assert "edges a pixel" in text


def test_the_viewer_is_whole_inside_a_frame_that_can_only_run_scripts(config: Config) -> None:
    _, page = page_of(config)
    (frame,) = page.frames
    assert frame["srcdoc"] == VIEWER
    assert frame["sandbox"] == "allow-scripts"


def test_exports_are_named_with_their_facts_and_sizes(config: Config) -> None:
    text, _ = page_of(config)
    assert "12,345 triangles, not watertight: 3 edges are open" in text
    assert "seed_0000.glb" in text and "4 kB" in text


def test_the_configuration_can_be_taken_from_the_page(config: Config) -> None:
    text, page = page_of(config)
    assert any("make run" in words for words in page.words)
    assert "r1_weight:" in text


@pytest.mark.parametrize("absent", ["export", "train"])
def test_what_is_not_there_is_left_out(config: Config, absent: str) -> None:
    shutil.rmtree(getattr(config.paths, absent))
    text, _ = page_of(config)
    assert ("seed_0000" in text) == (absent != "export")
    assert ("No learning curves" in text) == (absent == "train")


def test_nothing_is_said_of_pictures_that_were_not_drawn(config: Config) -> None:
    surfaces = Path(config.paths.evaluate) / "surfaces.png"
    images.write_png(surfaces, picture(100))
    assert "Cross-section of the surfaces, from above" in page_of(config)[0]
    (blank,) = PartResult.skip("evaluate.surfaces_views = 0", images=["surfaces"]).images.values()
    images.write_png(surfaces, blank)
    (Path(config.paths.export) / "viewer.html").unlink()
    text, page = page_of(config)
    assert "Cross-section of the surfaces, from above" not in text
    assert "Geometry" not in page.words


def test_exports_whose_files_are_gone_are_not_claimed(config: Config) -> None:
    folder = Path(config.paths.export)
    facts = {"triangles": 12345, "watertight": True, "files": {"seed_0001.glb": 5}}
    known = json.loads((folder / "meshes.json").read_text())
    (folder / "meshes.json").write_text(json.dumps({**known, "seed_0001": facts}))
    assert "seed_0001" not in page_of(config)[0]
    (folder / "seed_0001.glb").write_bytes(b"x")
    assert "seed_0001" in page_of(config)[0]


def test_without_an_evaluation_it_says_which_stage_is_missing(config: Config) -> None:
    (Path(config.paths.evaluate) / "protocol.json").unlink()
    with pytest.raises(ValueError, match=r"protocol.json is missing: run python -m pipeline.evaluate"):
        report.as_page(config, DESCRIBED)


def test_curves_draw_gaps_where_numbers_were_not_finite() -> None:
    figure = curves.draw(
        [{"step": 1, "opacity": 0.5}, {"step": 2, "opacity": None}, {"step": 3, "opacity": 0.7}]
    )
    assert figure is not None
    (axes,) = [axes for axes in figure.axes if axes.get_title(loc="left") == "opacity of the surfaces"]
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [0.5, np.nan, 0.7])


def test_no_record_no_curve() -> None:
    assert curves.draw([]) is None


@pytest.mark.parametrize(
    ("name", "title", "better"),
    [
        ("kid", "kernel distance", "lower"),
        ("recall_effnetlite0", "recall (effnetlite0)", "higher"),
        ("own_number", "own number", ""),
    ],
)
def test_numbers_have_names_for_people(name: str, title: str, better: str) -> None:
    meaning = glossary.meaning_of(name, glossary.DISTANCES)
    assert (meaning.title, meaning.better) == (title, better)


def test_an_export_that_was_never_made_is_empty(tmp_path: Path) -> None:
    found = Exports.read(tmp_path / "nothing")
    assert (list(found.all), found.viewer, found.interpolation) == ([], None, None)
