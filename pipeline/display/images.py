"""Images for people: grids of samples, turned heads with their depth, cross-sections of the surfaces."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import max_pool2d

from gram.model.generator import Generator, RenderedImages, to_pixels
from gram.system.folders import write_file

Pixels = NDArray[np.uint8]
"""One image (height, width, 3)."""
Beside = Callable[[RenderedImages, Tensor], NDArray[np.uint8]]
"""Further images (n, h, w, 3), from rendered images and their poses."""

SHOWN_SIDE = 96
"""Pixels a side to which small images are magnified, roughly."""
GAP = 2
"""Pixels between the images of a grid."""
BLANK = 8
"""Pixels along one side of the placeholder image."""
SWEEP_VIEWS = 7
SECTION_SIDE = 240
"""Pixels along one side of a cross-section."""
_TURBO = np.array(
    [
        [0.19, 0.07, 0.23], [0.27, 0.35, 0.80], [0.25, 0.61, 0.99], [0.10, 0.84, 0.79], [0.36, 0.97, 0.47],
        [0.70, 0.98, 0.21], [0.93, 0.82, 0.23], [0.99, 0.54, 0.16], [0.86, 0.25, 0.05], [0.48, 0.02, 0.01],
    ]
)  # fmt: skip


def depth_to_pixels(depth: Tensor, *, near: float, far: float) -> NDArray[np.uint8]:
    """Colours (batch, h, w, 3) of a depth (batch, h, w): near is warm, far is dark blue."""
    return _turbo((far - depth.detach().float()) / (far - near))


def _turbo(values: Tensor) -> NDArray[np.uint8]:
    """Colours (..., 3) of numbers (...): 0 and less is dark blue, 1 and more dark red."""
    # linear interpolation between neighbouring colours of the table
    at = values.clamp(0.0, 1.0).cpu().numpy() * (len(_TURBO) - 1)
    low = np.minimum(at.astype(np.int64), len(_TURBO) - 2)
    fraction = (at - low)[..., None]
    color = _TURBO[low] * (1.0 - fraction) + _TURBO[low + 1] * fraction
    return np.round(color * 255.0).astype(np.uint8)


def tile(images: NDArray[np.uint8], *, columns: int) -> Pixels:
    """Arrange images (n, h, w, 3) in rows of `columns`, magnified by a whole factor, with white gaps."""
    count, height, width, _ = images.shape
    factor = max(1, SHOWN_SIDE // height)
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = height * factor, width * factor
    rows = -(-count // columns)
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = GAP + i // columns * (height + GAP), GAP + i % columns * (width + GAP)
        canvas[top : top + height, left : left + width] = image
    return canvas


def sample_grid(
    generator: Generator, z: Tensor, poses: Tensor, *, size: int, columns: int = 8, psi: float = 1.0
) -> Pixels:
    """Render one image for each latent and pose (pitch, yaw), as a grid."""
    return tile(to_pixels(generator.render(z, poses, size=size, psi=psi).image), columns=columns)


def yaw_sweep(
    generator: Generator,
    z: Tensor,
    *,
    size: int,
    yaw: float,
    near: float,
    far: float,
    views: int = SWEEP_VIEWS,
    psi: float = 1.0,
    also: Beside | None = None,
) -> Pixels:
    """Render each latent from -yaw to +yaw radians around the frontal view, with the depth to the right.

    The images that `also` makes of these stand to the right of the depth.
    """
    angles = torch.pi / 2 - torch.linspace(-yaw, yaw, views)
    poses = torch.stack([torch.full_like(angles, torch.pi / 2), angles], dim=-1).to(z.device)
    rows = []
    for one in z:
        turned = generator.render(one.expand(views, -1), poses, size=size, psi=psi)
        rows += [to_pixels(turned.image), depth_to_pixels(turned.depth, near=near, far=far)]
        if also is not None:
            rows.append(also(turned, poses))
    return tile(np.concatenate(rows), columns=(2 if also is None else 3) * views)


@torch.no_grad()
def cross_section(generator: Generator, z: Tensor) -> Pixels:
    """Cross-section at height y = 0 from above, with the camera below: surfaces, or a volume's content.

    Colours are occupancies, averaged over the latents z (n, z_dim): dark blue is 0, green 0.5, dark red 1. A
    grey line is the background plane. The image spans 1.5 times the distance between near and far.
    """
    sampler = generator.sampler
    half = 0.75 * (sampler.far - sampler.near)
    # points of the plane y = 0, (side, side, 3)
    along = torch.linspace(-half, half, SECTION_SIDE, device=z.device)
    depth, across = torch.meshgrid(along, along, indexing="ij")
    points = torch.stack([across, torch.zeros_like(across), depth], dim=-1)
    # pixels on a surface; all of them in a volume
    layers = sampler.layers(points)
    line = torch.ones_like(points[..., 0], dtype=torch.bool) if layers is None else _borders(layers)
    canvas = np.full((SECTION_SIDE, SECTION_SIDE, 3), 255, np.uint8)
    if sampler.background_z is not None:
        canvas[int((along - sampler.background_z).abs().argmin())] = 160
    if line.any():
        occupancy = torch.stack([generator.occupancy(one, points[line]) for one in z]).mean(0)
        canvas[line.cpu().numpy()] = _turbo(occupancy)
    return canvas


def _borders(layers: Tensor) -> Tensor:
    """Pixels (h, w) at which the number of layers in front (h, w) changes."""
    layers = layers[None].float()
    return (max_pool2d(layers, 3, 1, 1) + max_pool2d(-layers, 3, 1, 1))[0] > 0


def encode_png(pixels: Pixels) -> bytes:
    """Encode an image as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def blank() -> Pixels:
    """Placeholder of a declared image that there is nothing to draw for."""
    return np.full((BLANK, BLANK, 3), 255, np.uint8)


def is_blank(path: Path) -> bool:
    """True if a file holds the placeholder image."""
    with Image.open(path) as image:
        return image.size == (BLANK, BLANK) and np.array_equal(np.asarray(image.convert("RGB")), blank())


def write_png(path: Path, pixels: Pixels) -> None:
    """Write a PNG atomically: a concurrent reader gets the old file or the new one."""
    write_file(path, encode_png(pixels))
