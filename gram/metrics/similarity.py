"""Similarity of images: PSNR and SSIM."""

import numpy as np
import torch
from torch import Tensor

from gram.shapes import Float

SMALLEST = 11
"""Side of SSIM's window and minimum side of images, pixels."""
WINDOW_STD = 1.5
"""Standard deviation of SSIM's Gaussian window, pixels."""


def psnr(
    images: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio: -10 log10 of the mean squared error, colours in [0, 1]; decibels.

    Infinite for equal images; 20 dB is an error of a tenth of the range, 40 dB of a hundredth.

    Args:
        images: images in [-1, 1], clipped like in a file.
        truth: reference images, the same.

    Example:
        >>> black = torch.full((1, 3, 16, 16), -1.0)
        >>> round(psnr(black + 0.2, black).item(), 3)  # an error of a tenth of the range
        20.0
    """
    error = _in_unit_range(images) - _in_unit_range(truth)
    return -10.0 * torch.log10(error.square().mean((1, 2, 3)))


def ssim(
    images: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, " batch"]:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, mean over colour channels; 1
    for equal images.

    Args:
        images: images in [-1, 1], clipped like in a file.
        truth: reference images, the same.

    Raises:
        ValueError: images smaller than the window.

    Example:
        >>> image = torch.linspace(-1, 1, 3 * 16 * 16).view(1, 3, 16, 16)
        >>> ssim(image, image).item()
        1.0
    """
    from skimage.metrics import structural_similarity

    if min(images.shape[-2:]) < SMALLEST:
        raise ValueError(f"images of {images.shape[-1]} x {images.shape[-2]}: SSIM's window has 11 pixels")
    pairs = [
        ((part.detach().clamp(-1.0, 1.0) + 1.0) / 2.0).cpu().double().numpy() for part in (images, truth)
    ]
    values = [
        structural_similarity(
            one, other, data_range=1.0, channel_axis=0,
            gaussian_weights=True, sigma=WINDOW_STD, use_sample_covariance=False,
        )
        for one, other in zip(*pairs, strict=True)
    ]  # fmt: skip
    return torch.from_numpy(np.asarray(values, np.float32))


def _in_unit_range(images: Tensor) -> Tensor:
    return (images.detach().clamp(-1.0, 1.0) + 1.0) / 2.0
