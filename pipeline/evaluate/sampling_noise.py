"""Sampling noise of fields: measurements, noise.json and figures."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gram.analysis.sampler_swap import ANALYTIC_POSES, analytic_scene, trained_scene
from gram.analysis.sampling_noise import (
    REFERENCE_POINTS,
    NoSuchSamplerError,
    SampledScene,
    SamplingNoise,
    SceneView,
    Skipped,
    draw,
    measure,
    reference_of,
)
from gram.geometry.cameras import Rays
from gram.model.generator import to_pixels
from gram.rendering.samplers import SAMPLERS, HierarchicalSampler
from pipeline.cli.progress import Progress
from pipeline.display.images import Pixels
from pipeline.evaluate.figures.sampling_noise import Crops, plot_crops, plot_curves
from pipeline.evaluate.part import EvaluatedModel, PartResult

FIGURES = ("noise", "noise_crops")
"""File names without suffix: numbers over points per ray, and crops side by side."""
ANALYTIC_SEEDS, SHOWN_SIZE = 16, 128
ANALYTIC_SIZE = 32
"""Side length of images of the analytic field, pixels; smaller than in python -m pipeline.noise."""
MAX_SIZE = 64
"""Maximum side length of images of a trained model, pixels; noise per ray does not depend on it."""
SHOWN_NAMES = {"hierarchical": "NeRF", "manifold": "GRAM"}
"""Names of samplers in the figure, if they differ from sampler.kind."""
PROTOCOL = {
    "unit": "images in [-1, 1]",
    "volume_reference": f"{REFERENCE_POINTS} evenly spaced points of the volume integral",
    "surface_reference": f"{REFERENCE_POINTS} surfaces of the same kind, background plane included",
    "delta": "distance between neighbouring surfaces on the central ray of the frontal camera",
    "seeds": "as stated; 2 for samplers without randomness",
}


@dataclass(frozen=True, kw_only=True)
class NoiseReport:
    """Measurements of one field, their protocol and crops of its images; `made_of` for models only."""

    title: str
    protocol: dict[str, Any]
    measured: Sequence[SamplingNoise]
    skipped: Sequence[Skipped]
    crops: Crops
    made_of: Mapping[str, str | None] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Entry in noise.json."""
        return {
            "made_of": self.made_of,
            "protocol": self.protocol,
            "measured": [asdict(one) for one in self.measured],
            "skipped": [asdict(one) for one in self.skipped],
        }

    def own_numbers(self) -> dict[str, float]:
        """Noise and error with the model's sampler, by name."""
        own = self.protocol["trained_with"]
        return {
            name: getattr(one, name)
            for one in self.measured
            if {"sampler": one.sampler, "points": one.points} == own
            for name in ("std", "rmse")
        }


def compare_samplers(subject: EvaluatedModel) -> PartResult:
    """Noise and error with the model's sampler; noise.json has all others, too."""
    settings, out = subject.config.evaluate, Path(subject.config.paths.evaluate)
    if not settings.noise_views:
        write_numbers(out, {})  # DVC requires all outputs
        return PartResult.skip("evaluate.noise_views = 0", images=FIGURES)
    trained = measure_model(subject)
    analytic = measure_analytic_field(
        settings.noise_points, seeds=settings.noise_seeds, views=settings.noise_views, size=ANALYTIC_SIZE
    )
    reports = {"trained": trained, "analytic": analytic}
    write_numbers(out, reports)
    return PartResult(values=trained.own_numbers(), protocol=trained.protocol, images=draw_figures(reports))


def measure_analytic_field(
    points: Sequence[int], *, seeds: int = ANALYTIC_SEEDS, views: int = len(ANALYTIC_POSES), size: int
) -> NoiseReport:
    """Measure the analytic field from up to four sides, independently of any model."""
    protocol = {
        **PROTOCOL,
        "field": "gram.analysis.analytic_field.AnalyticField",
        "manifold": "surfaces that follow the field, as ideal learned ones",
        "neusample": "F before training: the centres of n equal bins",
        "poses": ANALYTIC_POSES[:views],
        "size": size,
    }
    shown = analytic_scene(size=SHOWN_SIZE, views=1)
    assert shown.integral is not None
    whole = _pixels(shown.integral, SHOWN_SIZE)
    subject = analytic_scene(size=size, views=views)
    return _report("analytic field", protocol, subject, shown, whole, points, seeds)


def measure_model(subject: EvaluatedModel) -> NoiseReport:
    """Measure a trained model, with its own sampler and others in its place."""
    generator, settings = subject.generator, subject.config.evaluate
    untrained = subject.untrained()
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(settings.noise_views, generator.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(settings.noise_views, generator=rng).to(subject.device)
    size, kind = min(subject.size, MAX_SIZE), subject.described["sampler"]["kind"]
    own_points = generator.sampler.points_per_ray
    points = sorted({*settings.noise_points, own_points})
    protocol = {
        **PROTOCOL,
        "trained_with": {"sampler": kind, "points": own_points},
        "density": "for fields trained on surfaces, times their delta over the distance between surfaces",
        "manifold": "learned M",
        "spheres": "M before training",
        "neusample": "trained F with its own number of points, or F before training: equal bins",
        "latents": settings.noise_views,
        "seed": settings.seed,
        "poses": str(subject.prior),
        "size": size,
    }
    scene = trained_scene(generator, untrained, z, poses, size=size)
    shown = trained_scene(generator, untrained, z[:1], poses[:1], size=2 * size)
    whole = _pixels(draw(shown.build(kind, own_points), shown.views), 2 * size)
    report = _report("trained model", protocol, scene, shown, whole, points, settings.noise_seeds)
    return replace(report, made_of=subject.made_of)


def write_numbers(out: Path, reports: Mapping[str, NoiseReport]) -> None:
    """Write noise.json to a folder."""
    content = {name: report.as_dict() for name, report in reports.items()}
    (out / "noise.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def draw_figures(reports: Mapping[str, NoiseReport]) -> dict[str, Pixels]:
    """FIGURES of some reports."""
    curves = plot_curves({report.title: report.measured for report in reports.values()})
    crops = plot_crops([report.crops for report in reports.values()])
    return dict(zip(FIGURES, (curves, crops), strict=True))


def _report(
    title: str,
    protocol: dict[str, Any],
    subject: SampledScene,
    shown: SampledScene,
    whole: Pixels,
    points: Sequence[int],
    seeds: int,
) -> NoiseReport:
    total = len(SAMPLERS) * len(points)
    with Progress(f"sampling noise, {title}", total=total, items="settings") as progress:
        measured, skipped = measure(subject, tuple(SAMPLERS), points, seeds=seeds, progress=progress.update)
    crops = _crops(title, shown, whole, points)
    return NoiseReport(title=title, protocol=protocol, measured=measured, skipped=skipped, crops=crops)


def _crops(title: str, subject: SampledScene, whole: Pixels, points: Sequence[int]) -> Crops:
    """Crops of two seeds of NeRF's and of a surface sampler, for every number of points, and references."""
    (view,) = subject.views
    # crop of a quarter of the side, left of the middle
    size = int(view.rays.origins.shape[1] ** 0.5)
    side, row, column = size // 4, size * 5 // 16, size // 4
    part = SceneView(view.radiance, _part(view.rays, size, row, column, side))
    on_surfaces = (kind for kind, sampler in SAMPLERS.items() if sampler.has_surfaces)
    kinds = [HierarchicalSampler.kind, *[kind for kind in on_surfaces if _has(subject, kind)][:1]]
    points = [number for number in points if all(_has(subject, kind, number) for kind in kinds)]
    rows = []
    for kind in kinds:
        limit = subject.build(kind, REFERENCE_POINTS)
        limit = subject.build(reference_of(kind, limit), REFERENCE_POINTS)
        reference = _pixels(draw(limit, [part]), side)
        samplers = [subject.build(kind, number) for number in points]
        for seed in range(2):
            parts = [_pixels(draw(sampler, [part], seed), side) for sampler in samplers]
            rows.append((f"{SHOWN_NAMES.get(kind, kind)}, seed {seed}", [*parts, reference]))
    columns = [*(f"{number} points" for number in points), f"{REFERENCE_POINTS:,}"]
    return Crops(title, whole, (row, column), columns, rows)


def _has(subject: SampledScene, kind: str, points: int = REFERENCE_POINTS) -> bool:
    try:
        subject.build(kind, points)
    except NoSuchSamplerError:
        return False
    return True


def _part(rays: Rays, size: int, row: int, column: int, side: int) -> Rays:
    square = (slice(None), slice(row, row + side), slice(column, column + side))
    squares = rays.map(lambda part: part.reshape(1, size, size, 3)).rows(*square)
    return squares.map(lambda part: part.reshape(1, side * side, 3))


def _pixels(colors: Tensor, size: int) -> Pixels:
    return to_pixels(colors.reshape(1, size, size, 3).permute(0, 3, 1, 2))[0]
