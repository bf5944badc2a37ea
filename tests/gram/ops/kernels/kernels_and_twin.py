"""The kernels against their plain twin, in a process that test_sine_layer.py starts."""

import os
from typing import NamedTuple

import interpreted
import pytest
import torch
from torch import Tensor

from gram.ops import half
from gram.ops import half_layers as twin
from gram.ops.backend import LEAN, TRITON
from gram.ops.half import evaluate_in_half
from gram.ops.kernels import phase_layers as kernels
from gram.ops.phases import HalfLayer, HitBlocks, find_blocks
from gram.ops.reference import Layer

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic algorithms ask for

DEVICE = torch.device(interpreted.DEVICE)
HALF = torch.float16

SIZES = [(1, 1, 12), (2, 150, 40)]
"""Batch, points and width: less than any block, and ragged beyond one."""


@pytest.fixture(autouse=True)
def uninitialised_memory_is_not_a_number() -> None:
    torch.use_deterministic_algorithms(True)  # then it is filled with NaN


class Values:
    """Random tensors of one seed."""

    def __init__(self) -> None:
        self.rng = torch.Generator().manual_seed(0)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(shape, generator=self.rng)).to(DEVICE, dtype)

    def phases(self, *shape: int) -> Tensor:
        return torch.randint(-32768, 32768, shape, generator=self.rng).to(DEVICE, torch.int16)


def some_hits(batch: int, n: int) -> HitBlocks:
    """Whole blocks without a hit, and blocks with some."""
    mask = torch.rand(batch, n, generator=torch.Generator().manual_seed(1)) > 0.5
    mask[0, 64:128] = False
    mask[-1, :64] = False
    return find_blocks(mask.to(DEVICE))


def assert_close(ours: Tensor | None, theirs: Tensor | None, tolerance: float) -> None:
    """Relative to the largest value."""
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        difference = (ours.float() - theirs.float()).abs().max()
        assert difference <= tolerance * theirs.float().abs().max()


@pytest.mark.parametrize(("batch", "n", "width"), SIZES)
@pytest.mark.parametrize("kind", ["first", "seeing", "plain"])
def test_phases_are_the_same_to_one_unit_and_heads_add_the_same(
    batch: int, n: int, width: int, kind: str
) -> None:
    values, inner = Values(), 24
    phases = None if kind == "first" else values.phases(batch, n, inner)
    coordinates = None if kind == "plain" else values.normal(batch, n, 3)
    layer = HalfLayer(
        None if kind == "first" else values.normal(batch, width, inner, dtype=HALF),
        None if kind == "plain" else values.normal(batch, width, 3),
        values.normal(batch, width, scale=10.0),
        None,
    )
    head = None if kind == "first" else values.normal(4, inner, dtype=HALF)
    outs = [torch.ones(batch, n, 4, device=DEVICE) for _ in range(2)]
    results = [torch.zeros(batch, n, width, dtype=torch.int16, device=DEVICE) for _ in range(2)]
    for module, result, out in zip((kernels, twin), results, outs, strict=True):
        module.sine_layer(phases, head, layer, coordinates, None, result, out)
    difference = (results[0].int() - results[1].int()).to(torch.int16)  # half a turn is minus half a turn
    assert difference.abs().max() <= 1
    assert results[1].unique().numel() > n * width // 2
    assert_close(outs[0], outs[1], 1e-5)


def test_a_head_adds_the_same() -> None:
    values = Values()
    phases, head = values.phases(2, 150, 40), values.normal(4, 40, dtype=HALF)
    outs = [torch.ones(2, 150, 4, device=DEVICE) for _ in range(2)]
    for module, out in zip((kernels, twin), outs, strict=True):
        module.add_head(phases, head, None, out)
    assert_close(outs[0], outs[1], 1e-5)


@pytest.mark.parametrize(("batch", "n", "width"), SIZES)
@pytest.mark.parametrize("kind", ["last", "seeing", "headless"])
def test_gradients_of_a_layer_are_the_same(batch: int, n: int, width: int, kind: str) -> None:
    values, following = Values(), 24
    arguments = (
        values.phases(batch, n, width),
        None if kind == "last" else values.normal(batch, n, following, dtype=HALF),
        None if kind == "last" else values.normal(batch, following, width, dtype=HALF),
        values.normal(batch, n, 4, dtype=HALF),
        None if kind == "headless" else values.normal(4, width, dtype=HALF),
        values.normal(batch, n, 3) if kind == "seeing" else None,
        None,
    )
    ours, theirs = kernels.sine_layer_backward(*arguments), twin.sine_layer_backward(*arguments)
    for mine, reference, tolerance in zip(ours, theirs, (1e-3, 1e-4, 1e-4), strict=True):
        assert_close(mine, reference, tolerance)


def test_a_gradient_beyond_float16_is_cut_not_infinite() -> None:
    phases, grad_out = torch.zeros(1, 3, 12, dtype=torch.int16), torch.full((1, 3, 4), 6e4, dtype=HALF)
    arguments = (
        phases.to(DEVICE), None, None, grad_out.to(DEVICE), torch.ones(4, 12, dtype=HALF, device=DEVICE),
        None, None,
    )  # fmt: skip
    for module in (kernels, twin):
        assert (module.sine_layer_backward(*arguments)[0] == torch.finfo(HALF).max).all()


@pytest.mark.parametrize(("batch", "n", "width"), SIZES)
@pytest.mark.parametrize("readers", ["both", "weight", "head"])
@pytest.mark.parametrize("hit", [False, True])
def test_gradients_of_weights_are_the_same(batch: int, n: int, width: int, readers: str, hit: bool) -> None:
    values = Values()
    phases = values.phases(batch, n, width)
    grad = None if readers == "head" else values.normal(batch, n, 24, dtype=HALF)
    grad_out = None if readers == "weight" else values.normal(batch, n, 4, dtype=HALF)
    hits = some_hits(batch, n) if hit else None
    if hits is not None:
        for gradient in (grad, grad_out):
            if gradient is not None:
                gradient[~hits.mask] = 0.0
    ours, theirs = (module.weight_gradients(phases, grad, grad_out, hits) for module in (kernels, twin))
    for mine, reference in zip(ours, theirs, strict=True):
        assert_close(mine, reference, 1e-4)


class Case(NamedTuple):
    points: Tensor
    directions: Tensor
    layers: list[Layer]
    leaves: list[Tensor]
    probe: Tensor


def make_case(batch: int, n: int, width: int) -> Case:
    values = Values()

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        return values.normal(*shape, scale=scale).requires_grad_()

    layers = [
        Layer(leaf(batch, width, 3, scale=8.0), leaf(batch, width), None),
        Layer(leaf(batch, width, width, scale=0.3), leaf(batch, width), leaf(4, width)),
        Layer(leaf(batch, width, 3 + width, scale=0.3), leaf(batch, width), leaf(4, width), True),
    ]
    points = leaf(batch, n, 3)
    leaves = [points, *(t for layer in layers for t in layer[:3] if t is not None)]
    return Case(points, values.normal(batch, n, 3), layers, leaves, values.normal(batch, n, 4))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_network_with_misses_in_several_chunks_gives_the_same_without_reading_what_was_not_written(
    monkeypatch: pytest.MonkeyPatch, recompute: bool
) -> None:
    batch, n, width = 2, 300, 20
    case, hit = make_case(batch, n, width), some_hits(batch, n).mask
    monkeypatch.setattr(half, "CHUNK_VALUES", 128 * batch * width)
    results = []
    options = {"half": HALF, "directions": case.directions, "hit": hit, "recompute": recompute}
    for backend in (TRITON, LEAN):
        out = evaluate_in_half(case.points, case.layers, backend=backend, **options)
        results.append([out.detach(), *torch.autograd.grad((out * case.probe).sum(), case.leaves)])
    ours, theirs = results
    assert (ours[0][~hit] == 0).all() and (ours[1][~hit] == 0).all()
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.isfinite().all()
        assert float((mine - reference).norm() / reference.norm()) < 1e-3
