"""Multi-view consistency: views of a yaw sweep, each warped onto the others by depth."""

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

MAX_YAW = math.pi / 4
"""Maximum yaw of the sweep to either side of its centre, radians."""
TRUTH_IDENTITIES = 16
"""Maximum number of held-out heads or cars whose real views are compared."""


class Sweep(NamedTuple):
    """Views of all samples, one camera of the yaw sweep after the other."""

    surface: Sequence[DepthView]  # with the median depth of every ray
    mean: Sequence[DepthView]  # with the mean depth
    yaws: Tensor  # cameras of the first sample, radians


class Comparison(NamedTuple):
    """Agreement of pairs of views, by the number of steps between them."""

    agreements: dict[int, list[ReprojectionError]]
    lock: float  # texture lock between neighbours; NaN without texture

    def error(self, steps: int) -> float:
        """Mean absolute difference of colours in [0, 1]; NaN if nothing was compared."""
        return _mean([pair.error for pair in self.agreements.get(steps, [])])

    def coverage(self, steps: int) -> float:
        """Share of the pixels with depth that were compared."""
        return _mean([pair.coverage for pair in self.agreements.get(steps, [])])

    def spread(self) -> float:
        """Coefficient of variation of the error over the pairs of neighbours."""
        errors = torch.stack([pair.error.nanmean() for pair in self.agreements[1]])
        return float(errors.std(correction=0) / errors.mean())


def measure(subject: EvaluatedModel) -> PartResult:
    """Reprojection error and coverage by distance of the views, texture lock, and those of real images."""
    settings = subject.config.evaluate
    if not settings.consistency_latents:
        return PartResult.skip("evaluate.consistency_latents = 0", images=["consistency"])
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
            **({"real images, true depth": [truth.error(s) for s in ours.agreements]} if truth else {}),
        },
        coverage=[ours.coverage(steps) for steps in ours.agreements],
    )
    protocol = _protocol(subject, sweep, math.degrees(float(step[0])), missing)
    figure = plot(sweep.surface, sweep.yaws, curves, fov=fov)
    return PartResult(values=values, protocol=protocol, images={"consistency": figure})


def _sweep(subject: EvaluatedModel) -> Sweep:
    settings, generator, device = subject.config.evaluate, subject.generator, subject.device
    count, views = settings.consistency_latents, settings.consistency_views
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(count, generator.z_dim, generator=rng).to(device)
    # centre of the sweep: the front, or one yaw per sample if cameras are all around
    reach = scene.shown_yaw(subject.config.data, subject.dataset.meta)
    centres = torch.full((count,), math.pi / 2, device=device)
    if reach > MAX_YAW:
        centres = centres + torch.linspace(0.0, 2.0 * math.pi, count + 1, device=device)[:-1]
    reach = min(reach, MAX_YAW)
    pitch = subject.dataset.poses[:, 0].median().to(device)
    offsets = torch.linspace(-reach, reach, views, device=device)
    rendered: list[tuple[DepthView, DepthView]] = []
    with Progress("consistency", total=views, items="images", items_per_unit=count) as progress:
        for offset in offsets:
            poses = torch.stack([pitch.expand(count), centres + offset], -1)
            rendered.append(_render(generator, z, poses, size=subject.size, psi=settings.psi))
            progress.update(len(rendered))
    surface, mean = zip(*rendered, strict=True)
    return Sweep(surface, mean, centres[0] + offsets)


def _render(
    generator: Generator, z: Tensor, poses: Tensor, *, size: int, psi: float
) -> tuple[DepthView, DepthView]:
    """Views with median and with mean depth, NaN where the background is."""
    cam2world = look_at_origin(poses)
    rendered = generator.render(z, poses, size=size, psi=psi)
    rays, plane_z = pixel_rays(cam2world, size=size, fov=generator.fov), generator.sampler.background_z
    views = []
    for depth in (rendered.median_depth, rendered.depth):
        # foreground: opaque pixels, or points in front of the background plane
        if plane_z is None:
            front = rendered.opacity > 0.5
        else:
            front = (rays.at(depth.flatten(1)[..., None])[..., 0, 2] > plane_z + PLANE_MARGIN).view_as(depth)
        views.append(
            view_of(rendered.image, torch.where(front, depth, torch.nan), cam2world, fov=generator.fov)
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
    """Error of neighbouring views if the warped one has the colours of another sample."""
    errors = []
    for j, k in _pairs(len(views), 1):
        other = views[j]._replace(image=views[j].image.roll(1, 0))
        errors.append(agreement(warp(other, views[k], fov=fov), views[k]).error)
    return _mean(errors)


def _pairs(count: int, steps: int) -> Iterator[tuple[int, int]]:
    """Pairs (source, target) of views `steps` apart, in both directions."""
    for j in range(count - steps):
        yield j, j + steps
        yield j + steps, j


def _truth(held_out: ImageDataset | None, step: float, most: int) -> tuple[Comparison | None, str]:
    """Pairs of real views of one head or car by the angle between their cameras, or the reason for none.

    Angles are rounded to multiples of `step`, in radians, `most` at most.
    """
    if held_out is None:
        return None, "there are no held-out images"
    if held_out.identities is None or held_out.depth(0) is None:
        return None, "the held-out images have no depth, or no identities"
    agreements: dict[int, list[ReprojectionError]] = {}
    motion: list[Tensor] = []
    for views in _real_views(held_out):
        for source in range(len(views.depth)):
            # one view warped onto all views of its identity
            j = DepthView(*(part[source].expand_as(part) for part in views))
            steps = (_angle(j.cam2world, views.cam2world) / step).round().int()
            pairs = agreement(warp(j, views, fov=held_out.fov), views)
            for distance in range(1, most + 1):
                at = steps == distance
                agreements.setdefault(distance, []).append(ReprojectionError(*(part[at] for part in pairs)))
            near = steps == 1
            motion.append(
                errors_of_motion(*(DepthView(*(p[near] for p in v)) for v in (j, views)), fov=held_out.fov)
            )
    if not motion:
        return None, "no held-out head or car has two views"
    return Comparison(agreements, texture_lock(torch.stack(motion).sum(0))), ""


def _real_views(held_out: ImageDataset) -> Iterator[DepthView]:
    """Views of the first TRUTH_IDENTITIES identities, of each all if it has several with depth."""
    assert held_out.identities is not None
    identities = torch.tensor(held_out.identities)
    for identity in identities.unique()[:TRUTH_IDENTITIES]:
        which = (identities == identity).nonzero()[:, 0].tolist()
        depths = [depth for depth in map(held_out.depth, which) if depth is not None]
        if len(which) > 1 and len(depths) == len(which):
            images = held_out.load_images(which).float() / 127.5 - 1.0
            yield view_of(images, torch.stack(depths), held_out.cam2world[which], fov=held_out.fov)


def _angle(one: Tensor, other: Tensor) -> Tensor:
    """Angle between the directions of cameras (batch, 4, 4) from the origin, radians."""
    return (one[:, :3, 3] * other[:, :3, 3]).sum(-1).clamp(-1.0, 1.0).acos()


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.cat(list(values)).nanmean()) if values else math.nan


def _values(ours: Comparison, mean: Comparison, truth: Comparison | None) -> dict[str, float]:
    """Finite numbers by name."""
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
        "error_n": "mean absolute difference, colours in [0, 1], of views n steps apart, in both directions",
        "coverage_n": "share of the object's pixels that are compared, of views n steps apart",
        "spread": "standard deviation of error_1 over the pairs of neighbours, divided by their mean",
        "texture_lock": "share of the surface's motion that colours follow between neighbours; 1 is locked",
        "depth": "median depth of a ray; mean_depth_*: its mean depth, which depth images show",
        "depth_tolerance": TOLERANCE,
        "steepest_slope": STEEPEST,
        "truth": missing or "held-out images and their true depth, pairs at about the same angles",
        "unrelated": "views warped onto neighbours with the colours of another sample",
    }
