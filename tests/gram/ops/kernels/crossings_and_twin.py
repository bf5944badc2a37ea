"""First crossings, by the kernel and by the plain search. Run by test_crossings.py."""

import pytest
import torch
from interpreted import DEVICE
from torch import Tensor

from gram.ops.backend import LEAN, TRITON
from gram.ops.kernels.crossings import first_crossings
from gram.rendering.isosurfaces import _first_decreasing_crossings

SHAPES = [((64, 8), 3), ((2, 37, 12), 5), ((65, 2), 1), ((1, 20, 64), 23), ((3, 5), 48)]


def both(values: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Starts and hits, asserted to be equal by the kernel and by the plain search of either backend."""
    values, levels = values.to(DEVICE), levels.to(DEVICE)
    plain = _first_decreasing_crossings(values, levels, LEAN)
    ours = first_crossings(values, levels)
    dispatched = _first_decreasing_crossings(values, levels, TRITON)
    for found in (ours, dispatched):
        for mine, theirs in zip(found, plain, strict=True):
            assert mine.dtype == theirs.dtype
            assert torch.equal(mine, theirs)
    return plain.start, plain.hit


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
def test_random_fields_agree(shape: tuple[int, ...], levels: int) -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.linspace(3.0, -3.0, shape[-1]) + 2.0 * torch.randn(shape, generator=rng)
    _, hit = both(values, torch.linspace(1.0, 9.0, levels))
    assert 0.0 < hit.float().mean() < 1.0


@pytest.mark.parametrize(("shape", "levels"), SHAPES)
@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_ties_flat_stretches_and_nan_agree(shape: tuple[int, ...], levels: int, missing: float) -> None:
    rng = torch.Generator().manual_seed(1)
    values = torch.randint(0, 5, shape, generator=rng).float()
    values = torch.where(torch.rand(shape, generator=rng) < missing, torch.nan, values)
    start, hit = both(values, torch.arange(levels).flip(0).float() - levels // 2)
    assert hit.any()
    assert (start[~hit] == 0).all()


def test_infinite_values_and_levels_in_any_order_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    inf = torch.inf
    values = torch.tensor([[inf, 1.0, -inf, 2.0], [-inf, inf, inf, 0.0], [1.0, 1.0, 1.0, 1.0]])
    both(values, torch.tensor([0.5, 1.0, -inf, inf, 3.0, torch.nan]))


def test_no_rays_have_no_crossings(monkeypatch: pytest.MonkeyPatch) -> None:
    start, _ = both(torch.zeros(2, 0, 4), torch.zeros(3))
    assert start.shape == (2, 0, 3)
