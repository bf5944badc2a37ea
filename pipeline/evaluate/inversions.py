"""Reconstruction of held-out identities: inversion from some views, measured on the others."""

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
from pipeline.evaluate.figures.inversions import RenderedIdentity, plot
from pipeline.evaluate.held_out import HeldOutIdentity, first_identities
from pipeline.evaluate.part import EvaluatedModel, PartResult

LATENTS = "inversions.safetensors"
"""File of the fitted latents, input of `export.latents`."""
OPAQUE = 0.5
"""Minimum opacity of foreground pixels."""
THRESHOLD = 0.02
"""Distance below which surface points count as correct in the F-score, relative to far - near."""
RESOLUTION = 64
"""Lattice points along the longest side of the bounding box for surface extraction."""
Numbers = dict[str, float]


def measure(subject: EvaluatedModel) -> PartResult:
    """PSNR, SSIM, depth, normals, masks and surfaces of inversions, on views that were not fitted."""
    latents = Path(subject.config.paths.evaluate) / LATENTS
    identities, fitted = inverted_identities(subject), subject.config.evaluate.inversion_views
    if not identities:
        write_latents(latents, torch.zeros(0, subject.generator.z_dim))  # DVC requires all outputs
        return PartResult.skip(_why_not(subject), images=["inversions"])
    inversion = _invert(subject, identities)
    write_latents(latents, inversion.z)
    values = _measure_all(subject, identities, inversion)
    rendered = [
        RenderedIdentity(
            one,
            _render(subject.generator, z, one.poses, one.images.shape[-1]),
            _render(inversion.tuned[i], z, one.poses, one.images.shape[-1]) if inversion.tuned else None,
        )
        for i, (one, z) in enumerate(zip(identities, inversion.z, strict=True))
    ]
    return PartResult(
        values=values,
        protocol=_protocol(subject, identities) | {"not_measured": _not_measured(identities, values)},
        images={"inversions": plot(rendered, fitted=fitted)},
    )


def inverted_identities(subject: EvaluatedModel) -> list[HeldOutIdentity]:
    """Held-out identities whose inversions the evaluation makes, in the order of their latents."""
    settings, held_out = subject.config.evaluate, subject.held_out
    if held_out is None:
        return []
    return first_identities(held_out, settings.inversion_identities, views=settings.inversion_views + 1)


def _why_not(subject: EvaluatedModel) -> str:
    """Reason why no identity is inverted."""
    settings = subject.config.evaluate
    if not settings.inversion_identities:
        return "evaluate.inversion_identities = 0"
    if subject.held_out is None:
        return "there are no held-out images"
    if subject.held_out.identities is None:
        return "the held-out images have no identities, so that views of the same one are unknown"
    return f"no held-out head or car has more than {settings.inversion_views} views"


def _invert(subject: EvaluatedModel, identities: Sequence[HeldOutIdentity]) -> Inversion:
    settings, device = subject.config.evaluate, subject.device
    views = slice(0, settings.inversion_views)
    images, poses = (
        torch.stack([getattr(one, name)[views] for one in identities]).to(device)
        for name in ("images", "poses")
    )
    total = settings.inversion_steps + settings.inversion_tuning * len(identities)
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


def _measure_all(
    subject: EvaluatedModel, identities: Sequence[HeldOutIdentity], inversion: Inversion
) -> Numbers:
    """Means over the identities that have a number; finite ones only."""
    generator, unseen = subject.generator, slice(subject.config.evaluate.inversion_views, None)
    fitted = slice(0, unseen.start)
    rows: list[Numbers] = []
    for i, one in enumerate(identities):
        # the inversion
        z, start = inversion.z[i], inversion.start[i]
        row = _view_metrics(generator, z, one, unseen) | _surface_metrics(generator, z, one)
        row["fitted_psnr"] = _view_metrics(generator, z, one, fitted)["psnr"]
        # baselines: the best random latent, a mask without background, the mean image
        row["start_psnr"] = _view_metrics(generator, start, one, unseen)["psnr"]
        if one.depth is not None:
            mask = one.depth[unseen].isfinite()
            row["whole_picture_mask_iou"] = _mean(mask_iou(torch.ones_like(mask), mask).tolist())
        average = _view_metrics(generator, z, one, unseen, psi=0.0)
        average |= _surface_metrics(generator, z, one, psi=0.0)
        row |= {f"average_{name}": value for name, value in average.items()}
        # the inversion with its radiance field tuned to the fitted views
        if inversion.tuned:
            network = inversion.tuned[i]
            tuned = _view_metrics(network, z, one, unseen) | _surface_metrics(network, z, one)
            tuned["fitted_psnr"] = _view_metrics(network, z, one, fitted)["psnr"]
            row |= {f"tuned_{name}": value for name, value in tuned.items()}
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: _mean([row[name] for row in rows if name in row]) for name in names}
    return {name: value for name, value in means.items() if math.isfinite(value)}


def _view_metrics(
    generator: Generator, z: Tensor, one: HeldOutIdentity, views: slice, *, psi: float = 1.0
) -> Numbers:
    """Mean metrics over some views of one head or car."""
    truth, poses = one.images[views], one.poses[views]
    image, depth = _render(generator, z, poses, truth.shape[-1], psi=psi)
    metrics = {"psnr": psnr(image, truth)}
    if truth.shape[-1] >= SMALLEST:
        metrics["ssim"] = ssim(image, truth)
    if one.depth is not None:
        true_depth = one.depth[views]
        normals, true_normals = (
            normals_from_depth(part, poses, fov=generator.fov) for part in (depth, true_depth)
        )
        metrics |= {
            "depth_error": depth_error(depth, true_depth),
            "depth_correlation": depth_correlation(depth, true_depth),
            "normal_error": normal_error(normals, true_normals),
            "mask_iou": mask_iou(depth.isfinite(), true_depth.isfinite()),
        }
    return {name: _mean(values.tolist()) for name, values in metrics.items()}


def _render(
    generator: Generator, z: Tensor, poses: Tensor, size: int, *, psi: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Images of a latent and their depth, NaN for background; both on the CPU."""
    latents, cameras = z.expand(len(poses), -1), poses.to(z.device)
    image = generator.render(latents, cameras, size=size, psi=psi).image
    front = generator.render(latents, cameras, size=size, psi=psi, background=False)
    return image.cpu(), torch.where(front.opacity >= OPAQUE, front.depth, torch.nan).cpu()


def _surface_metrics(generator: Generator, z: Tensor, one: HeldOutIdentity, *, psi: float = 1.0) -> Numbers:
    """Distances between a latent's surface and the true one, of the parts visible from all views' cameras."""
    if one.mesh is None:
        return {}
    try:
        surface = visible_surface(generator, z, one.poses, psi=psi, resolution=RESOLUTION)
        points = visible_points(surface, one.poses, fov=generator.fov)
        truth = visible_points(one.mesh, one.poses, fov=generator.fov)
        distance = compare_points(points, truth, threshold=_threshold(generator))
    except ValueError:  # no surface, or none that is visible
        return {}
    return {"chamfer": distance.chamfer, "f_score": distance.f_score}


def _threshold(generator: Generator) -> float:
    return THRESHOLD * (generator.sampler.far - generator.sampler.near)


def _mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN without any."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _protocol(subject: EvaluatedModel, identities: Sequence[HeldOutIdentity]) -> dict[str, Any]:
    settings = subject.config.evaluate
    unseen = sum(len(one.poses) - settings.inversion_views for one in identities)
    return {
        "identities": [one.identity for one in identities],
        "fitted_views": settings.inversion_views,
        "unseen_views": unseen / len(identities),
        "resolution": subject.size,
        "steps": settings.inversion_steps,
        "tuning_steps": settings.inversion_tuning,
        "candidates": CANDIDATES,
        "seed": settings.seed,
        "measured_on": "views that were not fitted; fitted_*: views that were, the most frontal ones",
        "means": "over views, then over identities",
        "compared_with": "start_*: the best of the random latents; average_*: the mean image, psi = 0; "
        "tuned_*: radiance field fitted, too",
        "whole_picture_mask_iou": "mask_iou of a mask without any background",
        "foreground": f"pixels where {OPAQUE:.0%} of the light is absorbed in front of the background",
        "depth_error": "mean absolute difference along the ray, world units, where both are foreground",
        "depth_correlation": "Pearson, per view, where both are foreground",
        "normal_error": "mean angle in degrees, of normals from neighbouring depths",
        "surfaces": f"{POINTS} points on each, visible from a camera of any view, world units",
        "f_score_threshold": _threshold(subject.generator),
    }


def _not_measured(identities: Sequence[HeldOutIdentity], values: Numbers) -> dict[str, str]:
    """Reasons for missing numbers, by the names of these."""
    missing: dict[str, str] = {}
    if all(one.depth is None for one in identities):
        missing["depth, normals and outlines"] = "the held-out images have no depth at this resolution"
    elif "depth_error" not in values:
        missing["depth and normals"] = "the model renders no foreground where the truth has one"
    if all(one.mesh is None for one in identities):
        missing["surfaces"] = "the held-out data set has no meshes"
    elif "chamfer" not in values:
        missing["surfaces"] = "the model has no visible surface"
    return missing
