"""A new sampler is a class and an entry of the registry: every stage, table and figure then knows it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.colors import to_hex
from sweep_folders import sampled, write_sweep

from gram.geometry.cameras import Rays
from gram.model.folder import load_model
from gram.rendering.samplers import SAMPLERS, Noise, Samples, VolumeSampler
from pipeline import noise
from pipeline.cli.command import main
from pipeline.config.loader import load
from pipeline.display.figures import sampler_style
from pipeline.evaluate import sampling_noise
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.runtime import estimates
from pipeline.sweep import checks, request
from pipeline.sweep.report import figure, results
from pipeline.train import stage as train

POINTS = 6


class SquaresSampler(VolumeSampler):
    """Points that lie the denser, the nearer they are; how dense is learned."""

    kind = "squares"
    fewest_points = 3
    learns = True

    def __init__(self, *, points: int, near: float, far: float, background_z: float | None = -0.12) -> None:
        if points < self.fewest_points:
            raise ValueError(f"points = {points}: {self.fewest_points} are needed")
        super().__init__(points=points, near=near, far=far, background_z=background_z)
        self.exponent = torch.nn.Parameter(torch.tensor(2.0))

    def sample(self, rays: Rays, noise: Noise | None = None) -> Samples:
        """The same points on every ray."""
        steps = torch.linspace(0.01, 0.99, self.points, device=rays.origins.device)
        return self.at_fractions((steps**self.exponent).expand(*rays.origins.shape[:-1], -1))


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(SAMPLERS, SquaresSampler.kind, SquaresSampler)
    yield


def search(folder: Path, space: str) -> request.Request:
    text = f"experiment: tiny\nfixed: {{sampler.kind: squares, train.measure_every: 4}}\nspace: {{{space}}}\n"
    (folder / "mine.yaml").write_text(text)
    return request.read([f"sweep={folder}/mine.yaml", f"sweep.folder={folder}/sweeps"], None)


def arguments(data: list[str], folder: Path, *more: str) -> list[str]:
    places = [f"paths.{name}='{folder}/{name}'" for name in ("checkpoints", "train", "evaluate", "export")]
    chosen = ["experiment=tiny", "tracking=none", "sampler.kind=squares", f"sampler.points={POINTS}"]
    return [*chosen, "train.steps=2", "train.threads=1", "export.layers=null", *data, *places, *more]


def test_it_trains_and_is_loaded_measured_and_exported(data: list[str], tmp_path: Path) -> None:
    model = f"paths.model='{tmp_path}/train/model'"
    for stage in (train, evaluate, export):
        assert main(stage.STAGE, stage.run, arguments(data, tmp_path, model)) == 0
    sampler = load_model(tmp_path / "train/model").sampler
    assert isinstance(sampler, SquaresSampler)
    assert sampler.points_per_ray == POINTS
    assert float(sampler.exponent) != 2.0
    measured = json.loads((tmp_path / "evaluate/noise.json").read_text())
    assert measured["trained"]["protocol"]["trained_with"] == {"sampler": "squares", "points": POINTS}
    for field, points in (("trained", POINTS), ("analytic", 8)):
        found = {(one["sampler"], one["points"]) for one in measured[field]["measured"]}
        assert ("squares", points) in found
    assert (tmp_path / "export/seed_0000.glb").stat().st_size > 1000


def test_tables_and_figures_show_it(tmp_path: Path) -> None:
    report = sampling_noise.measure_analytic_field([4, 8], seeds=2, views=1, size=8)
    assert "\nsquares " in noise.table(report)
    color, marker = sampler_style("squares")
    assert len({sampler_style(kind) for kind in SAMPLERS}) == len(SAMPLERS)
    folder = write_sweep(tmp_path, [sampled(0, "squares", 6, 60.0), sampled(1, "squares", 12, 50.0)])
    lines = figure.draw(results.read(folder)).axes[0].lines
    assert {to_hex(line.get_color()) for line in lines if len(line.get_xydata()) > 1} >= {color}  # pyright: ignore
    assert marker in [line.get_marker() for line in lines]


def test_options_are_checked_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train.STAGE, train.run, ["experiment=tiny", "sampler.kind=squares", "sampler.points=2"]) == 2
    assert "sampler.points = 2, but squares takes at least 3" in capsys.readouterr().err
    assert main(train.STAGE, train.run, ["experiment=tiny", "sampler.kind=squared"]) == 2
    assert "neusample, squares" in capsys.readouterr().err
    checks.check(search(tmp_path, "train.lr_manifold: [1e-3, 1e-4]"))
    with pytest.raises(ValueError, match=r"sampler.kind = squares does, but manifold, spheres, planes alone"):
        checks.check(search(tmp_path, "sampler.delta: [0.1, 0.2]"))
    assert list(estimates.needs("train", load(["experiment=tiny", "sampler.kind=squares"])))
