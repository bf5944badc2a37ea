"""What the model draws, for people: samples and real pictures, people turned, one person becoming another."""

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
TURNED = 4
STEPS = 9
"""Pictures from one latent to another, both of them included."""
SHOWN_PSI = 0.7
"""Truncation of pictures that are for looking at, not for measuring."""


def draw(subject: EvaluatedModel) -> dict[str, images.Pixels]:
    """File name without suffix -> picture."""
    generator, dataset, settings = subject.generator, subject.dataset, subject.config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(GRID, generator.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(GRID, generator=rng).to(subject.device)
    order = torch.randperm(len(dataset), generator=rng)[:GRID].tolist()
    reals = torch.stack([dataset[i][0] for i in order]).permute(0, 2, 3, 1).numpy()
    meta = dataset.meta
    turned = z[:TURNED]
    return {
        "samples": images.sample_grid(generator, z, poses, size=subject.size, psi=settings.psi),
        "truncated": images.sample_grid(generator, z, poses, size=subject.size, psi=SHOWN_PSI),
        "sweep": images.yaw_sweep(
            generator,
            turned,
            size=subject.size,
            yaw=scene.shown_yaw(subject.config.data, meta),
            near=meta.near,
            far=meta.far,
            psi=SHOWN_PSI,
            also=lambda rendered, seen_from: _normals(rendered, seen_from, generator.fov),
        ),
        "interpolation": _interpolation(subject, turned),
        "reals": images.tile(reals, columns=8),
    }


def _interpolation(subject: EvaluatedModel, z: Tensor) -> images.Pixels:
    """From each latent (n, z_dim) to the next in STEPS pictures, a row each, seen from the front."""
    pairs = (torch.stack(pair) for pair in zip(z, z.roll(-1, 0), strict=True))
    ways = torch.cat([interpolate_latents(pair, STEPS - 2)[:STEPS] for pair in pairs])
    poses = torch.full((len(ways), 2), torch.pi / 2, device=z.device)
    return images.sample_grid(subject.generator, ways, poses, size=subject.size, columns=STEPS, psi=SHOWN_PSI)


def _normals(rendered: RenderedImages, poses: Tensor, fov: float) -> images.Pixels:
    """World axes as colours: red to the right, green up, blue to the front; white where there are none."""
    normals = normals_from_depth(rendered.depth, poses, fov=fov).cpu().numpy()
    return np.where(np.isnan(normals), 255, np.rint((np.nan_to_num(normals) + 1.0) * 127.5)).astype(np.uint8)
