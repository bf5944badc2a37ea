"""How well a model knows heads or cars that it never saw: fitted to some views, measured on others."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gram.analysis.inversion import CANDIDATES, Inversion, invert
from gram.extraction.surface import visible_surface
from gram.metrics.depth import depth_correlation, depth_error, mask_iou, normal_error, normals_from_depth
from gram.metrics.similarity import SMALLEST, psnr, ssim
from gram.metrics.surface_distance import POINTS, compare_points, visible_points
from gram.model.generator import Generator
from gram.model.latents import write_latents
from pipeline.cli.progress import Progress
from pipeline.evaluate.figures.inversions import Drawn, plot
from pipeline.evaluate.held_out import Seen, first_identities
from pipeline.evaluate.part import EvaluatedModel, PartResult

LATENTS = "inversions.safetensors"
"""File of the latents that were found, which `export.latents` reads."""
OPAQUE = 0.5
"""A pixel shows something where so much light is stopped before the background."""
THRESHOLD = 0.02
"""Within which points of surfaces count as right, as a share of the depth of the space that rays cross."""
RESOLUTION = 64
"""Lattice points along the longest side of the box in which surfaces are looked for."""
Numbers = dict[str, float]


def find(subject: EvaluatedModel) -> PartResult:
    """PSNR, SSIM, depth, normals, outlines and surfaces of inversions against held-out views."""
    latents = Path(subject.config.paths.evaluate) / LATENTS
    if why_not := _why_not(subject):
        write_latents(latents, torch.zeros(0, subject.generator.z_dim))  # DVC wants what a stage promises
        return PartResult.skip(why_not, pictures=["inversions"])
    seen, fitted = _held_out(subject), subject.config.evaluate.inversion_views
    found = _invert(subject, seen)
    write_latents(latents, found.z)
    values = _measure_all(subject, seen, found)
    shown = [
        Drawn(
            one,
            _look(subject.generator, z, one.poses, one.images.shape[-1]),
            _look(found.tuned[i], z, one.poses, one.images.shape[-1]) if found.tuned else None,
        )
        for i, (one, z) in enumerate(zip(seen, found.z, strict=True))
    ]
    return PartResult(
        values=values,
        protocol=_protocol(subject, seen) | {"not_measured": _not_measured(seen, values)},
        pictures={"inversions": plot(shown, fitted=fitted)},
    )


def _why_not(subject: EvaluatedModel) -> str:
    """Why nothing can be measured; empty if something can."""
    settings = subject.config.evaluate
    if not settings.inversion_identities:
        return "evaluate.inversion_identities = 0"
    if subject.held_out is None:
        return "there are no held-out pictures"
    if subject.held_out.identities is None:
        return "the held-out pictures have no identities: nothing tells which of them show the same one"
    if not _held_out(subject):
        return f"no held-out head or car has more than {settings.inversion_views} views"
    return ""


def _held_out(subject: EvaluatedModel) -> list[Seen]:
    settings = subject.config.evaluate
    assert subject.held_out is not None
    return first_identities(
        subject.held_out, settings.inversion_identities, views=settings.inversion_views + 1
    )


def _invert(subject: EvaluatedModel, seen: Sequence[Seen]) -> Inversion:
    settings, device = subject.config.evaluate, subject.device
    views = slice(0, settings.inversion_views)
    images, poses = (
        torch.stack([getattr(one, name)[views] for one in seen]).to(device) for name in ("images", "poses")
    )
    total = settings.inversion_steps + settings.inversion_tuning * len(seen)
    with Progress("inversions", total=total, items="updates") as progress:
        return invert(
            subject.generator,
            images,
            poses,
            steps=settings.inversion_steps,
            tuning=settings.inversion_tuning,
            seed=settings.seed,
            progress=lambda done, _: progress.update(done),
        )


def _measure_all(subject: EvaluatedModel, seen: Sequence[Seen], found: Inversion) -> Numbers:
    """Means over identities; no number that not a single one has."""
    generator, unseen = subject.generator, slice(subject.config.evaluate.inversion_views, None)
    fitted = slice(0, unseen.start)
    numbers: list[Numbers] = []
    for i, one in enumerate(seen):
        z, start = found.z[i], found.start[i]
        own = _of_views(generator, z, one, unseen) | _of_surface(generator, z, one)
        own["fitted_psnr"] = _of_views(generator, z, one, fitted)["psnr"]
        own["start_psnr"] = _of_views(generator, start, one, unseen)["psnr"]
        if one.depth is not None:
            there = one.depth[unseen].isfinite()
            own["whole_picture_mask_iou"] = _mean(mask_iou(torch.ones_like(there), there).tolist())
        average = _of_views(generator, z, one, unseen, psi=0.0) | _of_surface(generator, z, one, psi=0.0)
        own |= {f"average_{name}": value for name, value in average.items()}
        if found.tuned:
            tuned = _of_views(found.tuned[i], z, one, unseen) | _of_surface(found.tuned[i], z, one)
            tuned["fitted_psnr"] = _of_views(found.tuned[i], z, one, fitted)["psnr"]
            own |= {f"tuned_{name}": value for name, value in tuned.items()}
        numbers.append(own)
    names = dict.fromkeys(name for of_one in numbers for name in of_one)
    means = {name: _mean([of_one[name] for of_one in numbers if name in of_one]) for name in names}
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _of_views(generator: Generator, z: Tensor, one: Seen, views: slice, *, psi: float = 1.0) -> Numbers:
    """Means over some views of one head or car."""
    truth, poses = one.images[views], one.poses[views]
    image, depth = _look(generator, z, poses, truth.shape[-1], psi=psi)
    found = {"psnr": psnr(image, truth)}
    if truth.shape[-1] >= SMALLEST:
        found["ssim"] = ssim(image, truth)
    if one.depth is not None:
        true_depth = one.depth[views]
        normals, true_normals = (
            normals_from_depth(part, poses, fov=generator.fov) for part in (depth, true_depth)
        )
        found |= {
            "depth_error": depth_error(depth, true_depth),
            "depth_correlation": depth_correlation(depth, true_depth),
            "normal_error": normal_error(normals, true_normals),
            "mask_iou": mask_iou(depth.isfinite(), true_depth.isfinite()),
        }
    return {name: _mean(of_views.tolist()) for name, of_views in found.items()}


def _look(
    generator: Generator, z: Tensor, poses: Tensor, size: int, *, psi: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Images of a latent, and depth, NaN where they show the background; both on the CPU."""
    latents, cameras = z.expand(len(poses), -1), poses.to(z.device)
    image = generator.render(latents, cameras, size=size, psi=psi).image
    front = generator.render(latents, cameras, size=size, psi=psi, background=False)
    return image.cpu(), torch.where(front.opacity >= OPAQUE, front.depth, torch.nan).cpu()


def _of_surface(generator: Generator, z: Tensor, one: Seen, *, psi: float = 1.0) -> Numbers:
    """Distances between the latent's surface and the true one, of what the cameras of all views see."""
    if one.mesh is None:
        return {}
    try:
        surface = visible_surface(generator, z, one.poses, psi=psi, resolution=RESOLUTION)
        points = visible_points(surface, one.poses, fov=generator.fov)
        truth = visible_points(one.mesh, one.poses, fov=generator.fov)
        distance = compare_points(points, truth, threshold=_threshold(generator))
    except ValueError:  # no surface at all, or none that a camera sees
        return {}
    return {"chamfer": distance.chamfer, "f_score": distance.f_score}


def _threshold(generator: Generator) -> float:
    return THRESHOLD * (generator.sampler.far - generator.sampler.near)


def _mean(values: Sequence[float]) -> float:
    """Of the numbers among them."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _protocol(subject: EvaluatedModel, seen: Sequence[Seen]) -> dict[str, Any]:
    settings = subject.config.evaluate
    return {
        "identities": [one.identity for one in seen],
        "fitted_views": settings.inversion_views,
        "unseen_views": sum(len(one.poses) - settings.inversion_views for one in seen) / len(seen),
        "resolution": subject.size,
        "steps": settings.inversion_steps,
        "tuning_steps": settings.inversion_tuning,
        "candidates": CANDIDATES,
        "seed": settings.seed,
        "measured_on": "views that the fit did not see; fitted_*: those that it saw, the most frontal",
        "means": "over views, then over identities",
        "compared_with": "start_*: the best of the random latents; average_*: the mean image, psi = 0; "
        "tuned_*: radiance field fitted, too",
        "whole_picture_mask_iou": "mask_iou of a mask without any background",
        "foreground": f"pixels where {OPAQUE:.0%} of the light is stopped in front of the background",
        "depth_error": "mean absolute difference along the ray, world units, where both show something",
        "depth_correlation": "Pearson, per view, where both show something",
        "normal_error": "mean angle in degrees, of normals from neighbouring depths",
        "surfaces": f"{POINTS} points on each, those that a camera of any view sees, world units",
        "f_score_threshold": _threshold(subject.generator),
    }


def _not_measured(seen: Sequence[Seen], values: Numbers) -> dict[str, str]:
    """Which numbers are missing, and why."""
    missing: dict[str, str] = {}
    if all(one.depth is None for one in seen):
        missing["depth, normals and outlines"] = "the held-out pictures have no depth at this size"
    elif "depth_error" not in values:
        missing["depth and normals"] = "the model shows nothing in front of its background where it should"
    if all(one.mesh is None for one in seen):
        missing["surfaces"] = "the held-out data set has no meshes"
    elif "chamfer" not in values:
        missing["surfaces"] = "the model has no surface that a camera sees"
    return missing
