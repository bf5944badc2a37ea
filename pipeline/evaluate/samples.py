"""Grids of generated and real images, yaw sweeps and latent interpolations."""

import numpy as np
import torch
from torch import Tensor

from gram.metrics.depth import normals_from_depth
from gram.model.generator import RenderedImages
from gram.model.latents import interpolate_latents
from pipeline.display import images
from pipeline.evaluate.part import EvaluatedModel
from pipeline.runtime import scene

GRID = 32
"""Number of images in a grid."""
SWEPT = 4
"""Number of latents in the yaw sweep and in the interpolation."""
STEPS = 9
"""Number of images from one latent to the next, both included."""
SHOWN_PSI = 0.7
"""Truncation of images that are shown, but not measured."""


def draw(subject: EvaluatedModel) -> dict[str, images.Pixels]:
    """Render all images of a model, by file name without suffix."""
    generator, dataset, settings = subject.generator, subject.dataset, subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(GRID, generator.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(GRID, generator=rng).to(subject.device)
    order = torch.randperm(len(dataset), generator=rng)[:GRID].tolist()
    reals = torch.stack([dataset[i][0] for i in order]).permute(0, 2, 3, 1).numpy()
    meta = dataset.meta
    return {
        "samples": images.sample_grid(generator, z, poses, size=subject.size, psi=settings.psi),
        "truncated": images.sample_grid(generator, z, poses, size=subject.size, psi=SHOWN_PSI),
        "sweep": images.yaw_sweep(
            generator,
            z[:SWEPT],
            size=subject.size,
            yaw=scene.shown_yaw(subject.config.data, meta),
            near=meta.near,
            far=meta.far,
            psi=SHOWN_PSI,
            also=lambda rendered, cameras: _normals(rendered, cameras, generator.fov),
        ),
        "interpolation": _interpolation(subject, z[:SWEPT]),
        "reals": images.tile(reals, columns=8),
    }


def _interpolation(subject: EvaluatedModel, z: Tensor) -> images.Pixels:
    """Frontal images from each latent (n, z_dim) to the next, one row of STEPS images each."""
    pairs = (torch.stack(pair) for pair in zip(z, z.roll(-1, 0), strict=True))
    rows = torch.cat([interpolate_latents(pair, STEPS - 2)[:STEPS] for pair in pairs])
    poses = torch.full((len(rows), 2), torch.pi / 2, device=z.device)
    return images.sample_grid(subject.generator, rows, poses, size=subject.size, columns=STEPS, psi=SHOWN_PSI)


def _normals(rendered: RenderedImages, poses: Tensor, fov: float) -> images.Pixels:
    """Normals as colours of the world axes: red right, green up, blue front; white without a surface."""
    normals = normals_from_depth(rendered.depth, poses, fov=fov).cpu().numpy()
    return np.where(np.isnan(normals), 255, np.rint((np.nan_to_num(normals) + 1.0) * 127.5)).astype(np.uint8)
