"""Where the surfaces of a model are: how many rays meet each, how far apart they are, how much each shows."""

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
from pipeline.display.figures import BLUE, VERMILION, plain, show, to_pixels
from pipeline.display.images import Pixels, cross_section
from pipeline.evaluate.held_out import Seen, first_identities
from pipeline.evaluate.inversions import LATENTS
from pipeline.evaluate.part import EvaluatedModel, PartResult

LARGEST_SIZE = 32
"""Rays along one side of a view; more would tell the same."""
SHOWN = 8
"""Latents whose occupancies are averaged in the cross-section, and the first of them are shown alone."""
ALONE = 2


def find(subject: EvaluatedModel) -> PartResult:
    """Hit rates and weights by level, spacing, opacity; of volume samplers opacity alone."""
    views = subject.config.evaluate.surfaces_views
    if not views:
        return PartResult.skip("evaluate.surfaces_views = 0", pictures=["surfaces"])
    generator, settings = subject.generator, subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(max(views, SHOWN), generator.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(views, generator=rng).to(subject.device)
    size = min(subject.size, LARGEST_SIZE)
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
        "opacity": "mean share of the light that is stopped in front of the background",
    }
    if layered:
        protocol |= {
            "levels": "from the outermost, 00, to the innermost",
            "hits": "share of the rays that meet a level",
            "weight": "mean share of a pixel's colour that comes from a level, or from the background plane",
            "spacing": "between neighbouring levels along rays that meet both, world units",
        }
        distances, told = _distances(subject)
        values |= distances
        protocol |= told
    else:
        kind = type(generator.sampler).__name__
        protocol["not_measured"] = {"levels": f"a {kind} samples a volume: it has no surfaces"}
    picture = _plot(generator, z[:SHOWN], values if layered else {})
    return PartResult(values=values, protocol=protocol, pictures={"surfaces": picture})


def _distances(subject: EvaluatedModel) -> tuple[dict[str, float], dict[str, Any]]:
    """Distances from the true surfaces of held-out heads or cars, on the inversions that the evaluation made,
    and how they were measured, or why they were not.
    """
    settings, generator = subject.config.evaluate, subject.generator
    seen = _inverted(subject)
    if not seen:
        return {}, {"not_measured": {"distances": "there are no inversions of pictures with true depth"}}
    found = read_latents(Path(subject.config.paths.evaluate) / LATENTS, z_dim=generator.z_dim)
    unseen = slice(settings.inversion_views, None)
    views = torch.tensor([len(one.poses[unseen]) for one in seen])
    z = found.repeat_interleave(views, dim=0).to(subject.device)
    poses = torch.cat([one.poses[unseen] for one in seen]).to(subject.device)
    truth = torch.cat([one.depth[unseen] for one in seen if one.depth is not None]).flatten(1)
    samples, weights = _rays(generator, z, poses, size=subject.size, psi=1.0, task="true surfaces")
    distances = surface_depth(samples.t, samples.hit, weights, truth)
    values = {
        "heaviest_distance": distances.heaviest,
        "heaviest_bias": distances.bias,
        "nearest_distance": distances.nearest,
    }
    told = {
        "heaviest_distance": "mean over rays, world units, from the surface of the largest weight, the plane "
        "among them, to the true one",
        "heaviest_bias": "the same with a sign, positive where it is behind the true one",
        "nearest_distance": "from the nearest surface of the ray: what the best weights would reach",
        "distances_measured_on": f"inversions of {len(seen)} held-out heads or cars, {len(z)} views that the "
        "fit did not see, pixels with true depth",
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}, told


def _inverted(subject: EvaluatedModel) -> list[Seen]:
    """Whose inversions the evaluation holds, in the order of the latents; none where there is no depth."""
    settings, held_out = subject.config.evaluate, subject.held_out
    if held_out is None or not settings.inversion_identities:
        return []
    seen = first_identities(held_out, settings.inversion_identities, views=settings.inversion_views + 1)
    return seen if all(one.depth is not None for one in seen) else []


@torch.no_grad()
def _rays(
    generator: Generator, z: Tensor, poses: Tensor, *, size: int, psi: float, task: str
) -> tuple[Samples, Tensor]:
    """First samples and all weights of the rays of every view, on the CPU."""
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
    """The head from above, and what every level does."""
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
        {name.removeprefix(f"{what}_"): value for name, value in values.items() if name.startswith(what)}
        for what in ("hits", "weight")
    )
    at = np.arange(len(weights))
    axes.barh(at[: len(hits)] - 0.2, list(hits.values()), 0.4, color=BLUE, label="rays that meet it")
    axes.barh(at + 0.2, list(weights.values()), 0.4, color=VERMILION, label="share of the picture")
    axes.set_yticks(at, [name.lstrip("0") or "0" for name in weights], fontsize=8 if len(at) < 30 else 5)
    axes.invert_yaxis()
    axes.set(xlim=(0.0, 1.0), ylabel="surface, outermost on top", xlabel="mean over rays")
    axes.legend(frameon=False, fontsize=8)
    plain(axes)
