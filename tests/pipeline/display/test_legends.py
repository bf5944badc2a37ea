"""Legends have fixed places: looking for the "best" one takes long, and it hides what it covers."""

import ast
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image
from sweep_folders import trial, write_sweep

from gram.metrics.reprojection import DepthView
from pipeline.config.yaml_reading import PROJECT
from pipeline.display.figures import DPI, legend_below, png
from pipeline.display.images import Pixels
from pipeline.evaluate import poses, surfaces
from pipeline.evaluate.figures import consistency
from pipeline.report import curves
from pipeline.sweep.report import figure, results


def of_poses() -> Pixels:
    angles = torch.rand(100, 2, generator=torch.Generator().manual_seed(0)) + 1.0
    some = poses.PosePairs(
        angles, angles + 0.02 * torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
    )
    return poses._plot(some, some, {"pitch_unrelated": 12.0, "yaw_unrelated": 20.0})


def of_surfaces() -> Pixels:
    drawn = Figure(figsize=(12.6, 4.4), dpi=DPI, layout="constrained")
    values = {f"{what}_{k:02}": 0.9 - 0.02 * k for what in ("hits", "weight") for k in range(12)}
    surfaces._plot_levels(drawn.subplots(1, 4)[-1], values)
    return pixels(drawn)


def of_consistency() -> Pixels:
    view = DepthView(
        torch.rand(2, 3, 8, 8), torch.ones(2, 8, 8), torch.eye(4).repeat(2, 1, 1), torch.ones(2, 8, 8).bool()
    )
    errors: dict[str, Sequence[float]] = {
        label: [0.1, 0.2, 0.3] for label in ("samples", "other identities", "shuffled depth")
    }
    numbers = consistency.Curves(degrees=[2.0, 5.0, 10.0], errors=errors, coverage=[0.9, 0.8, 0.7])
    return consistency.plot([view] * 3, torch.tensor([1.5, 1.6, 1.7]), numbers, fov=12.0)


def of_training() -> Pixels:
    lines = ("loss/discriminator", "loss/generator", *(f"weight/{k:02}" for k in range(25)))
    drawn = curves.draw([{"step": k, "time": 1.0, **{name: 1.0 / k for name in lines}} for k in range(1, 9)])
    assert drawn is not None
    return pixels(drawn)


def pixels(drawn: Figure) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png(drawn))).convert("RGB"))


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    def searched(*arguments: object) -> None:
        raise AssertionError("a legend looks for the best place")

    monkeypatch.setattr(Legend, "_find_best_position", searched)


@pytest.mark.parametrize("draw", [of_poses, of_surfaces, of_consistency, of_training])
def test_no_legend_of_a_figure_looks_for_its_place(draw: Callable[[], Pixels]) -> None:
    assert draw().std() > 1.0


def test_no_legend_of_a_sweep_looks_for_its_place(tmp_path: Path) -> None:
    values = [{"sampler.points": p, "train.r1_weight": w} for p in (6, 12) for w in (1, 2)]
    trials = [trial(k, 50.0 + k, values=v) for k, v in enumerate(values)]
    assert pixels(figure.draw(results.read(write_sweep(tmp_path, trials)))).std() > 1.0


def test_every_legend_is_given_a_place() -> None:
    """Those of figures that no test draws, too."""
    for file in (PROJECT / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "legend":
                given = {name.arg: ast.unparse(name.value) for name in node.keywords}
                assert given.get("loc", "'best'") != "'best'", f"{file}:{node.lineno}"


def test_a_legend_below_is_below_label_and_numbers() -> None:
    drawn = Figure(dpi=DPI, layout="constrained")
    axes = drawn.subplots()
    axes.plot([0.0, 1.0], label="line")
    axes.set_xlabel("steps")
    legend_below(axes)
    drawn.draw_without_rendering()
    legend = axes.get_legend()
    assert legend is not None
    assert 0.0 < legend.get_window_extent().y0
    assert legend.get_window_extent().y1 < axes.xaxis.label.get_window_extent().y0
