"""What the model draws, for people: samples and real pictures, people turned, one person becoming another."""

import torch

from pipeline import pictures, scene
from pipeline.evaluating.finding import Subject

GRID = 32
TURNED = 4
STEPS = 9
"""Pictures from one latent to another, both of them included."""
SHOWN_PSI = 0.7
"""Truncation of pictures that are for looking at, not for measuring."""


def draw(subject: Subject) -> dict[str, pictures.Pixels]:
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
        "samples": pictures.sample_grid(generator, z, poses, size=subject.size, psi=settings.psi),
        "truncated": pictures.sample_grid(generator, z, poses, size=subject.size, psi=SHOWN_PSI),
        "sweep": pictures.yaw_sweep(
            generator,
            turned,
            size=subject.size,
            yaw=scene.shown_yaw(subject.config.data, meta),
            near=meta.near,
            far=meta.far,
            psi=SHOWN_PSI,
        ),
        "interpolation": pictures.interpolation(
            generator, turned, turned.roll(-1, 0), size=subject.size, steps=STEPS, psi=SHOWN_PSI
        ),
        "reals": pictures.tile(reals, columns=8),
    }
