"""The manifolds of some latents and of those between them: what the viewer's slider passes."""

from itertools import pairwise

import torch
from torch import Tensor

from gram.baked import BakedManifolds, bake
from gram.generator import Generator
from gram.shapes import Float


def bake_way(
    generator: Generator,
    z: Float[Tensor, "count z_dim"],
    poses: Float[Tensor, "views 2"],
    *,
    between: int,
    resolution: int,
    psi: float,
) -> list[BakedManifolds]:
    """Manifolds from the first latent to the last in the order given, on the same charts.

    Args:
        generator: whose sampler is on isosurfaces.
        z: latents.
        poses: (pitch, yaw) of the cameras that will look, radians.
        between: latents in equal steps between neighbours, both of which come in addition.
        resolution: pixels along one side of a map.
        psi: truncation.

    Raises:
        ValueError: the sampler has no isosurfaces, or they cannot be drawn as maps.
    """
    steps = torch.arange(between + 1, device=z.device)[:, None] / (between + 1)
    way = torch.cat([*(torch.lerp(a, b, steps) for a, b in pairwise(z)), z[-1:]])
    made: list[BakedManifolds] = []
    for one in way:
        charts = made[0].charts if made else None
        made.append(bake(generator, one, poses, resolution=resolution, psi=psi, charts=charts))
    return made
