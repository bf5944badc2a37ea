"""Statistics of a model's surfaces: hit rates, compositing weights, spacing, distances to the true ones."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gram.analysis.health import ray_numbers
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.metrics.surface_depth import surface_depth
from gram.model.generator import Generator
from gram.model.latents import read_latents
from gram.rendering.samplers import Samples
from pipeline.cli.progress import Progress
from pipeline.display.figures import BLUE, VERMILION, legend_below, plain, show, to_pixels
from pipeline.display.images import Pixels, cross_section
from pipeline.evaluate.inversions import LATENTS, inverted_identities
from pipeline.evaluate.part import EvaluatedModel, PartResult

MAX_SIZE = 32
"""Maximum number of rays along one side of a view."""
AVERAGED = 8
"""Number of latents whose occupancies are averaged in the cross-section."""
ALONE = 2
"""Number of these latents that are shown alone, too."""


def measure(subject: EvaluatedModel) -> PartResult:
    """Hit rates and weights by level, spacing and opacity; of volume samplers opacity only."""
    views = subject.config.evaluate.surfaces_views
    if not views:
        return PartResult.skip("evaluate.surfaces_views = 0", images=["surfaces"])
    generator, settings = subject.generator, subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(max(views, AVERAGED), generator.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(views, generator=rng).to(subject.device)
    size = min(subject.size, MAX_SIZE)
    samples, weights = _rays(generator, z[:views], poses, size=size, psi=settings.psi, task="surfaces")
    numbers = ray_numbers(generator.sampler, samples, weights)
    values = {name.replace("/", "_"): float(value) for name, value in numbers.items()}
    layered = generator.sampler.has_surfaces
    protocol: dict[str, Any] = {
        "views": views,
        "rays": views * size * size,
        "poses": str(subject.prior),
        "psi": settings.psi,
        "seed": settings.seed,
        "opacity": "mean share of the light that is absorbed in front of the background",
    }
    if layered:
        protocol |= {
            "levels": "from the outermost, 00, to the innermost",
            "hits": "share of the rays that hit a level",
            "weight": "mean share of a pixel's colour that comes from a level, or from the background plane",
            "spacing": "between neighbouring levels along rays that hit both, world units",
        }
        distances, distance_protocol = _distances(subject)
        values |= distances
        protocol |= distance_protocol
    else:
        kind = type(generator.sampler).__name__
        protocol["not_measured"] = {"levels": f"a {kind} samples a volume: it has no surfaces"}
    figure = _plot(generator, z[:AVERAGED], values if layered else {})
    return PartResult(values=values, protocol=protocol, images={"surfaces": figure})


def _distances(subject: EvaluatedModel) -> tuple[dict[str, float], dict[str, Any]]:
    """Distances to the true surfaces of held-out identities, on their inversions, and the protocol."""
    settings, generator = subject.config.evaluate, subject.generator
    identities = inverted_identities(subject)
    if not identities or any(one.depth is None for one in identities):
        return {}, {"not_measured": {"distances": "there are no inversions of images with true depth"}}
    latents = read_latents(Path(subject.config.paths.evaluate) / LATENTS, z_dim=generator.z_dim)
    # every view that was not fitted, with the latent of its identity
    unseen = slice(settings.inversion_views, None)
    views = torch.tensor([len(one.poses[unseen]) for one in identities])
    z = latents.repeat_interleave(views, dim=0).to(subject.device)
    poses = torch.cat([one.poses[unseen] for one in identities]).to(subject.device)
    truth = torch.cat([one.depth[unseen] for one in identities if one.depth is not None]).flatten(1)
    samples, weights = _rays(generator, z, poses, size=subject.size, psi=1.0, task="true surfaces")
    distances = surface_depth(samples.t, samples.hit, weights, truth)
    values = {
        "heaviest_distance": distances.heaviest,
        "heaviest_bias": distances.bias,
        "nearest_distance": distances.nearest,
    }
    protocol = {
        "heaviest_distance": "mean over rays, world units, from the surface of the largest weight, including "
        "the background plane, to the true one",
        "heaviest_bias": "signed mean, positive behind the true surface",
        "nearest_distance": "from the nearest surface of the ray: the minimum over all possible weights",
        "distances_measured_on": f"inversions of {len(identities)} held-out heads or cars, {len(z)} views "
        "that were not fitted, pixels with true depth",
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}, protocol


@torch.no_grad()
def _rays(
    generator: Generator, z: Tensor, poses: Tensor, *, size: int, psi: float, task: str
) -> tuple[Samples, Tensor]:
    """Samples and compositing weights of all rays of every view, on the CPU."""
    film, parts = generator.truncated_film(z, psi), []
    with Progress(task, total=len(z)) as progress:
        for i in range(len(z)):
            rays = pixel_rays(look_at_origin(poses[i : i + 1]), size=size, fov=generator.fov)
            samples = generator.sampler.sample(rays)
            weights = generator.shade(film.rows(slice(i, i + 1)), rays).weights
            parts.append([part.cpu() for part in (samples.t, samples.hit, weights)])
            progress.update(i + 1)
    t, hit, weights = (torch.cat(part) for part in zip(*parts, strict=True))
    return Samples(t, hit), weights


def _plot(generator: Generator, z: Tensor, values: Mapping[str, float]) -> Pixels:
    """Cross-sections from above, and hit rate and weight of every level."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.6, 4.4), layout="constrained")
    panels = figure.subplots(1, ALONE + 2, width_ratios=[1.0] * (ALONE + 1) + [1.25])
    for k, axes in enumerate(panels[:ALONE]):
        show(axes, cross_section(generator, z[k : k + 1]), f"sample {k}, cut at y = 0, from above")
    show(panels[ALONE], cross_section(generator, z), f"mean of {len(z)} samples")
    panels[0].set_xlabel("camera is below; grey: background plane", fontsize=8)
    panels[1].set_xlabel("red: opaque, green: half, dark blue: invisible", fontsize=8)
    if values:
        _plot_levels(panels[-1], values)
    else:
        panels[-1].set_axis_off()
        panels[-1].text(0.5, 0.5, "no surfaces: the sampler\nsamples a volume", ha="center", va="center")
    return to_pixels(figure)


def _plot_levels(axes: Any, values: Mapping[str, float]) -> None:
    hits, weights = (
        {name.removeprefix(f"{kind}_"): value for name, value in values.items() if name.startswith(kind)}
        for kind in ("hits", "weight")
    )
    at = np.arange(len(weights))
    axes.barh(at[: len(hits)] - 0.2, list(hits.values()), 0.4, color=BLUE, label="hit rate")
    axes.barh(at + 0.2, list(weights.values()), 0.4, color=VERMILION, label="compositing weight")
    axes.set_yticks(at, [name.lstrip("0") or "0" for name in weights], fontsize=8 if len(at) < 30 else 5)
    axes.invert_yaxis()
    axes.set(xlim=(0.0, 1.0), ylabel="surface, outermost on top", xlabel="mean over rays")
    legend_below(axes, ncols=2)
    plain(axes)
