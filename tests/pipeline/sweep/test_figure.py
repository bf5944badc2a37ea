"""The figure shows every trial as what it is, and never mixes distances of different kinds."""

import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image
from sweep_folders import sampled, trial, write_sweep

from pipeline.display.figures import DARK, LIGHT, png, sampler_style
from pipeline.sweep.report import figure, published, results
from pipeline.sweep.trials import Trial


def drawn(folder: Path, *trials: Trial) -> Figure:
    return figure.draw(results.read(write_sweep(folder, trials)))


def xy(line: Line2D) -> list[list[float]]:
    return np.asarray(line.get_xydata()).tolist()


def named(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def points(axes: Axes, face: str | None = None) -> list[tuple[float, float]]:
    """Of marks, all or those filled with a colour."""
    marks = [line for line in axes.lines if line.get_linestyle() == "None" and line.get_marker() != "x"]
    marks = [m for m in marks if face is None or to_hex(m.get_markerfacecolor()) == face]
    return [(x, y) for mark in marks for x, y in xy(mark)]


def test_a_line_a_sampler_through_finished_trials_named_below(tmp_path: Path) -> None:
    ours, *_ = drawn(
        tmp_path,
        sampled(0, "planes", 6, 60.0),
        sampled(1, "planes", 12, 50.0),
        sampled(2, "manifold", 6, 45.0),
        sampled(3, "manifold", 12, 90.0, status="stopped"),
        sampled(4, "manifold", 24, 40.0),
    ).axes
    lines = {to_hex(line.get_color()): xy(line) for line in ours.lines if len(xy(line)) > 1}
    assert lines == {
        sampler_style("planes")[0]: [[6.0, 60.0], [12.0, 50.0]],
        sampler_style("manifold")[0]: [[6.0, 45.0], [24.0, 40.0]],
    }
    assert named(ours) == ["planes", "manifold"]
    assert [float(tick) for tick in ours.get_xticks()] == [6.0, 12.0, 24.0]
    assert points(ours, LIGHT.page) == [(12.0, 90.0)]


def test_published_values_stand_apart_dashed_with_their_protocol(tmp_path: Path) -> None:
    ours, theirs, *_ = drawn(tmp_path, sampled(0, "planes", 6, 300.0), sampled(1, "manifold", 6, 200.0)).axes
    shown = {tuple(point) for line in theirs.lines for point in xy(line)}
    assert shown == {(float(x), y) for line in published.LINES.values() for x, y in line.items()}
    assert {line.get_linestyle() for line in theirs.lines} == {"--"}
    assert published.PROTOCOL in texts(theirs)
    assert named(theirs) == [*published.NAMES.values()]
    assert theirs.get_ylabel() == "FID 5k (published)"
    assert ours.get_ylabel().startswith("fid_effnetlite0_1000")
    assert {y for _, y in points(ours)} == {300.0, 200.0}
    spans = [axes.get_ylim()[1] / axes.get_ylim()[0] for axes in (ours, theirs)]
    assert spans[0] == pytest.approx(spans[1])


def test_no_text_overlaps_another(tmp_path: Path) -> None:
    kinds = ("manifold", "planes", "hierarchical", "neusample")
    trials = [sampled(2 * k, kind, 6, 300.0 - 40.0 * k) for k, kind in enumerate(kinds)]
    trials += [sampled(2 * k + 1, kind, 12, 250.0 + k) for k, kind in enumerate(kinds)]
    found = drawn(tmp_path, *trials)
    found.draw_without_rendering()
    for axes in found.axes:
        legend = axes.get_legend()
        assert legend is not None
        words = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts, *axes.get_xticklabels(), legend]
        boxes = [one.get_window_extent() for one in words]
        assert not any(
            a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[k + 1 :] if a.width and b.width
        )


def test_failed_trials_are_crosses_of_their_colour_one_below_the_other(tmp_path: Path) -> None:
    ours, *_ = drawn(
        tmp_path,
        sampled(0, "planes", 6, 60.0),
        sampled(1, "neusample", 12, None, status="failed"),
        sampled(2, "spheres", 12, None, status="failed"),
    ).axes
    crosses = [line for line in ours.lines if line.get_marker() == "x"]
    assert [xy(cross)[0][0] for cross in crosses] == [12.0, 12.0]
    assert {to_hex(cross.get_color()) for cross in crosses} == {
        sampler_style(kind)[0] for kind in ("neusample", "spheres")
    }
    assert len({xy(cross)[0][1] for cross in crosses}) == 2


def test_the_front_of_quality_against_speed_is_drawn_and_labelled(tmp_path: Path) -> None:
    _, _, speed, memory = drawn(
        tmp_path,
        sampled(0, "planes", 6, 60.0, images_per_second=100.0, memory_gib=1.0),
        sampled(1, "manifold", 6, 50.0, images_per_second=80.0, memory_gib=2.0),
        sampled(2, "manifold", 12, 70.0, images_per_second=60.0, memory_gib=3.0),
        sampled(3, "planes", 12, 10.0, images_per_second=200.0, memory_gib=0.5, status="stopped"),
    ).axes
    (front,) = (line for line in speed.lines if line.get_drawstyle() == "steps-post")
    assert xy(front) == [[100.0, 60.0], [80.0, 50.0]]
    assert {"000", "001"} < set(texts(speed))
    assert speed.xaxis_inverted()
    assert not memory.xaxis_inverted()


def test_two_options_make_a_panel_each_with_lines_by_the_other(tmp_path: Path) -> None:
    trials = [
        trial(3 * i + j, 50.0 - i - 2 * j, values={"sampler.points": p, "sampler.num_samples": n})
        for i, p in enumerate((6, 12, 24))
        for j, n in enumerate((16, 32))
    ]
    over_points, over_samples, *_ = drawn(tmp_path, *trials).axes
    assert over_points.get_xlabel() == "sampler.points"
    assert named(over_points) == ["num_samples 16", "num_samples 32"]
    lines = [xy(line) for line in over_samples.lines if len(xy(line)) > 1]
    assert lines == [[[16.0, 50.0 - i], [32.0, 48.0 - i]] for i in range(3)]


def test_words_are_places_on_an_axis(tmp_path: Path) -> None:
    trials = [trial(k, 50.0 + k, values={"train.precision": v}) for k, v in enumerate(("no", "bf16", "fp16"))]
    axes, *_ = drawn(tmp_path, *trials).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["no", "bf16", "fp16"]
    assert points(axes) == [(0.0, 50.0), (1.0, 51.0), (2.0, 52.0)]


@pytest.mark.parametrize(
    "trials",
    [
        [],
        [sampled(0, "planes", 6)],
        [
            sampled(0, "planes", 6, None, status="pending", steps=0),
            sampled(1, "planes", 12, None, status="running"),
        ],
        [
            sampled(0, "planes", 6, float("nan"), images_per_second=float("nan")),
            sampled(1, "planes", 12, float("inf"), memory_gib=float("inf")),
            sampled(2, "planes", 24, 5.0, images_per_second=float("inf"), memory_gib=0.0),
        ],
        [sampled(0, "planes", 6, -1.0), sampled(1, "planes", 12, 0.0)],
        [sampled(0, "planes", 6, None, status="failed"), sampled(1, "planes", 12, None, status="failed")],
        [trial(0, values={"a.b": 1}), trial(1, values={"a.b": "x"}), trial(2, values={"a.b": None})],
        [trial(k, values={f"a.o{n}": k * n for n in range(9)}) for k in range(3)],
        [sampled(0, "planes", 6, 1e308), sampled(1, "planes", 12, 1e-308), sampled(2, "planes", 24, -1e308)],
        [trial(k, values={"a.b": v, "a.c": [k]}) for k, v in enumerate(("$x$ y$", "_", "\\alpha " * 40))],
    ],
    ids=["none", "single", "pending", "nan", "negative", "failed", "mixed", "nine options", "huge", "words"],
)
def test_any_sweep_has_a_picture_1200_pixels_wide(tmp_path: Path, trials: list[Trial]) -> None:
    found = results.read(write_sweep(tmp_path, trials))
    for style in (LIGHT, DARK):
        for one in filter(None, (figure.draw(found, style), figure.curves(found, style))):
            with Image.open(io.BytesIO(png(one))) as picture:
                assert picture.width == 1200
                assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_curves_need_two_measurements(tmp_path: Path) -> None:
    assert figure.curves(results.read(write_sweep(tmp_path / "a", [trial(0, None)]))) is None
    curves = figure.curves(results.read(write_sweep(tmp_path / "b", [trial(0, 50.0)])))
    assert curves is not None
    assert named(curves.axes[0]) == ["000: manifold, 12 points"]
    assert xy(curves.axes[0].lines[0]) == [
        [10.0, 75.0],
        [20.0, pytest.approx(55.0)],
        [30.0, 50.0],
    ]


def test_dollars_are_no_formulas_and_long_values_are_cut(tmp_path: Path) -> None:
    values = ("$a_b$", "word " * 100)
    axes, *_ = drawn(tmp_path / "$s$", *(trial(k, values={"a.b": v}) for k, v in enumerate(values))).axes
    first, second = (label.get_text() for label in axes.get_xticklabels())
    assert first == r"\$a_b\$"
    assert second == ("word " * 100)[:39] + "\u2026"
