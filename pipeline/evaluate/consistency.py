"""Whether views of a sample show one object: over a sweep of yaw, each is warped onto the others by depth."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gram.data.reader import ImageDataset
from gram.extraction.surface import PLANE_MARGIN
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.metrics.reprojection import (
    STEEPEST,
    TOLERANCE,
    DepthView,
    ReprojectionError,
    agreement,
    errors_of_motion,
    texture_lock,
    view_of,
    warp,
)
from gram.model.generator import Generator
from pipeline.cli.progress import Progress
from pipeline.evaluate.figures.consistency import Curves, plot
from pipeline.evaluate.part import EvaluatedModel, PartResult
from pipeline.runtime import scene

LARGEST_TURN = math.pi / 4
"""To either side; where cameras go all around, every sample is turned about a view of its own."""
TRUTH_IDENTITIES = 16
"""Held-out heads or cars whose true views are compared, at most."""


class Sweep(NamedTuple):
    """All samples from one camera after the other, each a step of yaw further."""

    surface: Sequence[DepthView]  # with the median depth of every ray
    mean: Sequence[DepthView]  # with its mean depth
    yaws: Tensor  # of the cameras of the first sample, radians


class Comparison(NamedTuple):
    """How pairs of views agree, by the number of steps between them."""

    agreements: dict[int, list[ReprojectionError]]
    lock: float  # of neighbours; NaN without colours

    def error(self, steps: int) -> float:
        """Mean absolute difference of colours in [0, 1]; NaN where nothing was compared."""
        return _mean([found.error for found in self.agreements.get(steps, [])])

    def coverage(self, steps: int) -> float:
        """Share of the pixels with depth that were compared."""
        return _mean([found.coverage for found in self.agreements.get(steps, [])])

    def spread(self) -> float:
        """Standard deviation over the pairs of neighbours, divided by their mean: 0 if all are alike."""
        of_pairs = torch.stack([found.error.nanmean() for found in self.agreements[1]])
        return float(of_pairs.std(correction=0) / of_pairs.mean())


def find(subject: EvaluatedModel) -> PartResult:
    """Errors and coverage by distance, whether colours follow the surface, and what real pictures reach."""
    settings = subject.config.evaluate
    if not settings.consistency_latents:
        return PartResult.skip("evaluate.consistency_latents = 0", pictures=["consistency"])
    fov = subject.generator.fov
    sweep = _sweep(subject)
    step = _angle(sweep.surface[0].cam2world, sweep.surface[1].cam2world)
    ours, mean = (_compare(views, fov) for views in (sweep.surface, sweep.mean))
    unrelated = _unrelated(sweep.surface, fov) if settings.consistency_latents > 1 else math.nan
    truth, missing = _truth(subject.held_out, float(step[0]), len(sweep.yaws) - 1)
    values = _values(ours, mean, truth) | ({} if math.isnan(unrelated) else {"unrelated_error_1": unrelated})
    curves = Curves(
        degrees=[math.degrees(float(step[0])) * steps for steps in ours.agreements],
        errors={
            "samples": [ours.error(steps) for steps in ours.agreements],
            "samples, by mean depth": [mean.error(steps) for steps in ours.agreements],
            **({"real pictures, true depth": [truth.error(s) for s in ours.agreements]} if truth else {}),
        },
        coverage=[ours.coverage(steps) for steps in ours.agreements],
    )
    protocol = _protocol(subject, sweep, math.degrees(float(step[0])), missing)
    picture = plot(sweep.surface, sweep.yaws, curves, fov=fov)
    return PartResult(values=values, protocol=protocol, pictures={"consistency": picture})


def _sweep(subject: EvaluatedModel) -> Sweep:
    settings, generator, device = subject.config.evaluate, subject.generator, subject.device
    count, views = settings.consistency_latents, settings.consistency_views
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(count, generator.z_dim, generator=rng).to(device)
    reach = scene.shown_yaw(subject.config.data, subject.dataset.meta)
    middles = torch.full((count,), math.pi / 2, device=device)
    if reach > LARGEST_TURN:
        middles = middles + torch.linspace(0.0, 2.0 * math.pi, count + 1, device=device)[:-1]
    reach = min(reach, LARGEST_TURN)
    pitch = subject.dataset.poses[:, 0].median().to(device)
    turns = torch.linspace(-reach, reach, views, device=device)
    seen: list[tuple[DepthView, DepthView]] = []
    with Progress("consistency", total=views, items="images", items_per_unit=count) as progress:
        for turn in turns:
            poses = torch.stack([pitch.expand(count), middles + turn], -1)
            seen.append(_look(generator, z, poses, size=subject.size, psi=settings.psi))
            progress.update(len(seen))
    surface, mean = zip(*seen, strict=True)
    return Sweep(surface, mean, middles[0] + turns)


def _look(
    generator: Generator, z: Tensor, poses: Tensor, *, size: int, psi: float
) -> tuple[DepthView, DepthView]:
    """Views with median and with mean depth, what is not of the object left out."""
    cam2world = look_at_origin(poses)
    rendered = generator.render(z, poses, size=size, psi=psi)
    rays, behind = pixel_rays(cam2world, size=size, fov=generator.fov), generator.sampler.background_z
    views = []
    for depth in (rendered.median_depth, rendered.depth):
        if behind is None:
            there = rendered.opacity > 0.5
        else:
            there = (rays.at(depth.flatten(1)[..., None])[..., 0, 2] > behind + PLANE_MARGIN).view_as(depth)
        views.append(
            view_of(rendered.image, torch.where(there, depth, torch.nan), cam2world, fov=generator.fov)
        )
    return views[0], views[1]


def _compare(views: Sequence[DepthView], fov: float) -> Comparison:
    agreements = {
        steps: [agreement(warp(views[j], views[k], fov=fov), views[k]) for j, k in _pairs(len(views), steps)]
        for steps in range(1, len(views))
    }
    errors = [errors_of_motion(views[j], views[k], fov=fov) for j, k in _pairs(len(views), 1)]
    return Comparison(agreements, texture_lock(torch.stack(errors).sum(0)))


def _unrelated(views: Sequence[DepthView], fov: float) -> float:
    """Error of neighbours if the warped one has the colours of another sample."""
    found = []
    for j, k in _pairs(len(views), 1):
        other = views[j]._replace(image=views[j].image.roll(1, 0))
        found.append(agreement(warp(other, views[k], fov=fov), views[k]).error)
    return _mean(found)


def _pairs(count: int, steps: int) -> Iterator[tuple[int, int]]:
    """(source, target), both ways."""
    for j in range(count - steps):
        yield j, j + steps
        yield j + steps, j


def _truth(held_out: ImageDataset | None, step: float, most: int) -> tuple[Comparison | None, str]:
    """Pairs of real views of one head or car by the angle between their cameras, or why there are none.

    Args:
        held_out: where they are from.
        step: radians between neighbours; pairs count as the nearest number of steps apart.
        most: largest number of steps.
    """
    if held_out is None:
        return None, "there are no held-out pictures"
    if held_out.identities is None or held_out.depth(0) is None:
        return None, "the held-out pictures have no depth, or no identities"
    agreements: dict[int, list[ReprojectionError]] = {}
    motion: list[Tensor] = []
    for views in _real_views(held_out):
        for source in range(len(views.depth)):
            j = DepthView(*(part[source].expand_as(part) for part in views))
            steps = (_angle(j.cam2world, views.cam2world) / step).round().int()
            found = agreement(warp(j, views, fov=held_out.fov), views)
            for distance in range(1, most + 1):
                at = steps == distance
                agreements.setdefault(distance, []).append(ReprojectionError(*(part[at] for part in found)))
            near = steps == 1
            motion.append(
                errors_of_motion(*(DepthView(*(p[near] for p in v)) for v in (j, views)), fov=held_out.fov)
            )
    if not motion:
        return None, "no held-out head or car is seen from two sides"
    return Comparison(agreements, texture_lock(torch.stack(motion).sum(0))), ""


def _real_views(held_out: ImageDataset) -> Iterator[DepthView]:
    """All views of each of the first identities that have several."""
    assert held_out.identities is not None
    identities = torch.tensor(held_out.identities)
    for identity in identities.unique()[:TRUTH_IDENTITIES]:
        which = (identities == identity).nonzero()[:, 0].tolist()
        depths = [depth for depth in map(held_out.depth, which) if depth is not None]
        if len(which) > 1 and len(depths) == len(which):
            images = held_out.load_images(which).float() / 127.5 - 1.0
            yield view_of(images, torch.stack(depths), held_out.cam2world[which], fov=held_out.fov)


def _angle(one: Tensor, other: Tensor) -> Tensor:
    """Between the directions of cameras (batch, 4, 4) from the origin, radians."""
    return (one[:, :3, 3] * other[:, :3, 3]).sum(-1).clamp(-1.0, 1.0).acos()


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.cat(list(values)).nanmean()) if values else math.nan


def _values(ours: Comparison, mean: Comparison, truth: Comparison | None) -> dict[str, float]:
    """All that was measured; what could not be, has no name."""
    values: dict[str, float] = {}
    for steps in ours.agreements:
        values |= {f"error_{steps}": ours.error(steps), f"coverage_{steps}": ours.coverage(steps)}
        if truth:
            values[f"truth_error_{steps}"] = truth.error(steps)
    values |= {"spread": ours.spread(), "texture_lock": ours.lock}
    values |= {"mean_depth_error_1": mean.error(1), "mean_depth_coverage_1": mean.coverage(1)}
    values["mean_depth_texture_lock"] = mean.lock
    if truth:
        values["truth_texture_lock"] = truth.lock
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _protocol(subject: EvaluatedModel, sweep: Sweep, step: float, missing: str) -> dict[str, Any]:
    settings = subject.config.evaluate
    return {
        "samples": settings.consistency_latents,
        "views": len(sweep.yaws),
        "turn_degrees": math.degrees(float(sweep.yaws[-1] - sweep.yaws[0])),
        "degrees_between_neighbours": step,
        "resolution": subject.size,
        "psi": settings.psi,
        "seed": settings.seed,
        "error_n": "mean absolute difference, colours in [0, 1], of views n steps apart, warped both ways",
        "coverage_n": "share of the object's pixels that are compared, of views n steps apart",
        "spread": "standard deviation of error_1 over the pairs of neighbours, divided by their mean",
        "texture_lock": "share of the surface's motion that colours follow between neighbours; 1 is locked",
        "depth": "median of a ray's light; mean_depth_*: its mean, which is what depth pictures show",
        "depth_tolerance": TOLERANCE,
        "steepest_slope": STEEPEST,
        "truth": missing or "held-out pictures and their true depth, pairs at about the same angles",
        "unrelated": "views warped onto neighbours with the colours of another sample",
    }
