"""What of a picture is background: three losses that the paper does not have.

Nothing tells a generator of single views whether a background belongs on its surfaces or on the plane behind
them. Left alone, it paints most of it on surfaces beside the head, and may make the plane a black canvas that
shows as hair where surfaces let it through.
"""

import torch
from torch import Tensor

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.model.generator import Generator
from gram.networks.layers import Film
from gram.shapes import Bool, Float

INDECISION = 0.04
"""Weight of half transparent rays in `foreground_loss`."""
EDGE, LOWEST = 0.8, -0.2
"""Where the border begins, and where at the sides it ends; 1 is the edge of a picture, -1 its lower one."""


def foreground_loss(opacity: Float[Tensor, "batch size size"], share: float) -> Float[Tensor, ""]:
    """Mean over images of (mean o - share)^2 + 0.04 mean o (1 - o).

    Makes room on the plane, and has every ray decide. What goes there is left to the adversarial game: what
    need not turn with the head.

    Args:
        opacity: o, of rays in front of the background, in [0, 1].
        share: of an image that the foreground fills, in [0, 1].
    """
    filled = (opacity.mean((1, 2)) - share).square()
    undecided = (opacity * (1.0 - opacity)).mean((1, 2))
    return (filled + INDECISION * undecided).mean()


def edge_loss(opacity: Float[Tensor, "batch size size"]) -> Float[Tensor, ""]:
    """Mean over pixels of o, times how near they are to the edge of the picture within `border`.

    Patches of background on surfaces are free to stay while nothing asks them to go. Hair may reach into the
    border, never to the edge itself.

    Args:
        opacity: o, of rays in front of the background, in [0, 1].
    """
    return (opacity * nearness_to_edge(opacity.shape[-1]).to(opacity.device)).mean()


def border_loss(
    generator: Generator,
    film: Film,
    poses: Float[Tensor, "batch 2"],
    images: Float[Tensor, "batch 3 size size"],
) -> Float[Tensor, ""]:
    """Mean squared difference between the background at the border of pictures and what they show there.

    Gives the background the colours of backgrounds, also where surfaces hide it. Once it has them, surfaces
    in front of it are of no use there.

    Args:
        generator: that drew the images; its sampler has a background.
        film: of their latents.
        poses: (pitch, yaw) of their cameras, radians.
        images: in [-1, 1]; no gradient reaches them.
    """
    size = images.shape[-1]
    chosen = border(size).flatten().nonzero()[:, 0].to(images.device)  # a mask would wait for a GPU
    rays = pixel_rays(look_at_origin(poses), size=size, fov=generator.fov)
    rays = rays.rows(slice(None), chosen)
    points = rays.at(generator.sampler.background_t(rays)[..., None])[..., 0, :]
    rgb, _ = generator.radiance(points, rays.directions, film)
    return (rgb * 2.0 - 1.0 - images.detach().flatten(2).mT[:, chosen]).square().mean()


def border(size: int) -> Bool[Tensor, "{size} {size}"]:
    """Pixels that show background whatever stands in the middle: the upper edge, and the sides down to a
    little below the middle, as portraits leave their pictures at the bottom.
    """
    return nearness_to_edge(size) > 0.0


def nearness_to_edge(size: int) -> Float[Tensor, "{size} {size}"]:
    """1 at the edge of a picture, falling to 0 where its border ends."""
    line = torch.linspace(-1.0, 1.0, size)
    x, y = line.abs(), -line[:, None]  # rows go down
    return ((torch.maximum(x, y) - EDGE) / (1.0 - EDGE)).clamp(min=0.0) * (y > LOWEST)
