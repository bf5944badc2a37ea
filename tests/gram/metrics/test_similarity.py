"""PSNR and SSIM of pictures whose likeness is known."""

import math

import pytest
import torch
from torch import Tensor

from gram.metrics.similarity import psnr, ssim


def pictures(count: int = 2, size: int = 16) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def test_a_constant_error_has_its_psnr() -> None:
    truth = pictures()
    found = psnr(truth + torch.tensor([0.2, -0.02]).view(2, 1, 1, 1), truth)
    torch.testing.assert_close(found, torch.tensor([20.0, 40.0]), rtol=0, atol=1e-3)


def test_an_equal_picture_has_infinite_psnr_and_ssim_1() -> None:
    truth = pictures()
    assert psnr(truth, truth).tolist() == [math.inf, math.inf]
    torch.testing.assert_close(ssim(truth, truth), torch.ones(2))


def test_black_for_white_is_the_worst() -> None:
    white = torch.ones(1, 3, 16, 16)
    assert float(psnr(-white, white)) == 0.0
    assert float(ssim(-white, white)) == pytest.approx(0.0, abs=1e-3)  # c1 / (1 + c1)


def test_what_is_beyond_the_range_of_a_file_counts_as_its_end() -> None:
    white = torch.ones(1, 3, 16, 16)
    assert psnr(white * 1.002, white).tolist() == [math.inf]
    torch.testing.assert_close(ssim(white * 1.002, white), torch.ones(1))


def test_ssim_of_flat_pictures_is_that_of_their_means() -> None:
    """(2 m n + c1) / (m^2 + n^2 + c1), as their variances are 0."""
    m, n, c1 = 0.75, 0.5, 0.01**2
    found = ssim(torch.full((1, 3, 16, 16), 2 * m - 1), torch.full((1, 3, 16, 16), 2 * n - 1))
    assert float(found) == pytest.approx((2 * m * n + c1) / (m * m + n * n + c1), abs=1e-6)


def test_ssim_falls_with_noise_and_does_not_depend_on_the_batch() -> None:
    truth = pictures()
    noise = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1))
    values = [ssim(truth + strength * noise, truth) for strength in (0.0, 0.1, 0.5)]
    assert (values[0] > values[1]).all()
    assert (values[1] > values[2]).all()
    torch.testing.assert_close(ssim((truth + 0.1 * noise)[1:], truth[1:])[0], values[1][1])


def test_pictures_smaller_than_the_window_are_refused() -> None:
    with pytest.raises(ValueError, match="images of 8 x 8: SSIM's window has 11 pixels"):
        ssim(pictures(size=8), pictures(size=8))
