"""Background losses, three that are not in the paper.

Single views do not determine whether the background lies on surfaces or on the plane behind them. Without
these losses most of it ends up on surfaces beside the head, and the plane may turn into a black canvas that
shows through transparent surfaces as hair.
"""

import torch
from torch import Tensor

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.model.generator import Generator
from gram.networks.layers import Film
from gram.shapes import Bool, Float

INDECISION = 0.04
"""Weight of the term o (1 - o) in `foreground_loss`."""
EDGE, LOWEST = 0.8, -0.2
"""Inner limit of the border, and its lower end at the sides; coordinates in [-1, 1], y up."""


def foreground_loss(opacity: Float[Tensor, "batch size size"], share: float) -> Float[Tensor, ""]:
    """Mean over images of (mean o - share)^2 + 0.04 mean o (1 - o).

    Controls the visible area of the plane and makes rays opaque or transparent. The adversarial loss
    decides what moves to the plane: content without parallax to the head.

    Args:
        opacity: opacity o of rays in front of the background, in [0, 1].
        share: fraction of an image that the foreground fills, in [0, 1].
    """
    filled = (opacity.mean((1, 2)) - share).square()
    undecided = (opacity * (1.0 - opacity)).mean((1, 2))
    return (filled + INDECISION * undecided).mean()


def edge_loss(opacity: Float[Tensor, "batch size size"]) -> Float[Tensor, ""]:
    """Mean over pixels of o times `nearness_to_edge`.

    Removes patches of background on surfaces. Hair may reach into the border, but not to the image edge.

    Args:
        opacity: opacity o of rays in front of the background, in [0, 1].
    """
    return (opacity * nearness_to_edge(opacity.shape[-1]).to(opacity.device)).mean()


def border_loss(
    generator: Generator,
    film: Film,
    poses: Float[Tensor, "batch 2"],
    images: Float[Tensor, "batch 3 size size"],
) -> Float[Tensor, ""]:
    """Mean squared difference between the background plane and the image at its border.

    Gives the plane the colours of the background, also where surfaces hide it, so that surfaces in front of
    it become redundant there.

    Args:
        generator: generator of the images, whose sampler has a background plane.
        film: FiLM parameters of their latents.
        poses: (pitch, yaw) of their cameras, radians.
        images: images in [-1, 1]; no gradient reaches them.
    """
    # rays of border pixels, by index: a mask would synchronise with the GPU
    size = images.shape[-1]
    chosen = border(size).flatten().nonzero()[:, 0].to(images.device)
    rays = pixel_rays(look_at_origin(poses), size=size, fov=generator.fov)
    rays = rays.rows(slice(None), chosen)
    # radiance of the plane
    points = rays.at(generator.sampler.background_t(rays)[..., None])[..., 0, :]
    rgb, _ = generator.radiance(points, rays.directions, film)
    return (rgb * 2.0 - 1.0 - images.detach().flatten(2).mT[:, chosen]).square().mean()


def border(size: int) -> Bool[Tensor, "{size} {size}"]:
    """Mask of pixels that show background in portraits: the upper edge, and the sides down to a little below
    the middle.
    """
    return nearness_to_edge(size) > 0.0


def nearness_to_edge(size: int) -> Float[Tensor, "{size} {size}"]:
    """Weight of pixels: 1 at the image edge, falling linearly to 0 at the inner limit of the border."""
    line = torch.linspace(-1.0, 1.0, size)
    x, y = line.abs(), -line[:, None]  # y up
    return ((torch.maximum(x, y) - EDGE) / (1.0 - EDGE)).clamp(min=0.0) * (y > LOWEST)
