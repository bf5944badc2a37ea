"""The kernels compile for an H100, lose nothing on its tensor cores, and give what their plain twin gives."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from interpreted import pass_with_kernels
from torch import Tensor

H100_SHARED_MEMORY = 227 * 1024


def launch_all(width: int, hidden: int) -> None:
    """Values at points and along rays, and gradients without and with those of the points."""
    from gram.ops.kernels.relu_field import prepare, values_along, values_at
    from gram.ops.kernels.relu_gradient import gradients

    sizes = [3] + [width] * hidden
    weights = prepare(
        [torch.zeros(o, i) for i, o in pairwise(sizes)],
        [torch.zeros(width)] * hidden, torch.zeros(1, width),
    )  # fmt: skip
    points, t = torch.zeros(200, 3), torch.zeros(64)
    values_at(points, weights)
    values_along(points, points, t, weights, scale=8.0, centre=torch.zeros(3))
    gradients(points, torch.zeros(200), weights, into_points=False)
    gradients(points, torch.zeros(200), weights, into_points=True)


def one_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    from gram.ops.kernels.relu_field import values_kernel

    kept = {config.kwargs["UP_TO"]: config for config in reversed(values_kernel.configs)}
    monkeypatch.setattr(values_kernel, "configs", list(kept.values()))


def test_those_of_a_large_model_compile_for_an_h100(
    launches: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_configuration(monkeypatch)
    launch_all(128, 3)
    assert len(launches) == 2 + 2 * 4
    assert all("wgmma.mma_async" in kernel.asm["ptx"] for kernel in launches)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [2, 3])
@pytest.mark.parametrize("width", [64, 128, 256])
def test_every_configuration_compiles_and_needs_no_more_memory_than_said(
    launches: list[Any], width: int, hidden: int
) -> None:
    from gram.ops.kernels.relu_field import shared_memory_for

    launch_all(width, hidden)
    assert all(kernel.metadata.shared <= H100_SHARED_MEMORY for kernel in launches)
    needed = [kernel.metadata.shared for kernel in launches if kernel.metadata.name != "values_kernel"]
    choices = [kernel.metadata.shared for kernel in launches if kernel.metadata.name == "values_kernel"]
    assert len(needed) == 2 * (hidden + 1)
    assert max(*needed, min(choices)) <= shared_memory_for(
        width, hidden
    )  # other choices are tried and dropped


def test_two_parts_make_the_number_and_the_high_one_fits_tf32() -> None:
    pytest.importorskip("triton")
    from gram.ops.kernels.relu_field import split_in_two

    x = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * 100.0
    hi, lo = split_in_two(x)
    assert torch.equal(hi.double() + lo.double(), x.double())
    assert torch.equal(hi, as_tf32(hi))
    assert (lo.abs() <= x.abs() * 2.0**-11).all()


def test_three_products_of_parts_have_the_accuracy_of_float32() -> None:
    pytest.importorskip("triton")
    from gram.ops.kernels.relu_field import split_in_two

    rng = torch.Generator().manual_seed(0)
    x, w = torch.randn(10_000, generator=rng), torch.randn(10_000, generator=rng)
    (x_hi, x_lo), (w_hi, w_lo) = split_in_two(x), split_in_two(w)
    exact = x.double() * w.double()
    parts = [as_tf32(a).double() * as_tf32(b).double() for a, b in ((x_lo, w_hi), (x_hi, w_lo), (x_hi, w_hi))]
    error = (sum(parts) - exact).abs() / exact.abs()
    assert (
        error.max() < 2.0**-19.5
    )  # tensor cores cut what does not fit tf32: 2^-21 for each low part, and more
    assert ((as_tf32(x).double() * as_tf32(w).double() - exact).abs() / exact.abs()).max() > 2.0**-11


def as_tf32(x: Tensor) -> Tensor:
    """What a tensor core reads: the upper 19 bits."""
    return (x.view(torch.int32) & -0x2000).view(torch.float32)


def test_they_give_what_their_twin_gives() -> None:
    pass_with_kernels("relu_field_and_twin.py")
