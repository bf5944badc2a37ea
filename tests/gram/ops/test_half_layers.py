"""The parts of a network of sine layers, each against automatic differentiation of what it stands for."""

import math

import torch
from torch import Tensor

from gram.ops.half_layers import add_head, product, sine_layer, sine_layer_backward, weight_gradients
from gram.ops.phases import UNITS, HalfLayer

BATCH, N, INNER, WIDTH, OUTPUTS = 2, 9, 5, 6, 4
HALF = torch.float16


def normal(*shape: int, seed: int, dtype: torch.dtype = HALF) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def random_phases(*shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(-32768, 32768, shape, generator=rng).to(torch.int16)


def as_turns(phases: Tensor) -> Tensor:
    return phases.double() / UNITS


def sines_of(turns: Tensor) -> Tensor:
    return torch.sin(turns * math.tau)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.double() - theirs).norm() / theirs.norm())


def test_a_layer_writes_phases_of_its_formula_and_adds_what_the_head_reads() -> None:
    phases = random_phases(BATCH, N, INNER)
    weight, slope = normal(BATCH, WIDTH, INNER, seed=1), normal(BATCH, WIDTH, 3, seed=2, dtype=torch.float32)
    bias, head = normal(BATCH, WIDTH, seed=3, dtype=torch.float32), normal(OUTPUTS, INNER, seed=4)
    coordinates = normal(BATCH, N, 3, seed=5, dtype=torch.float32)
    result, out = torch.zeros(BATCH, N, WIDTH, dtype=torch.int16), torch.ones(BATCH, N, OUTPUTS)
    sine_layer(phases, head, HalfLayer(weight, slope, bias, None), coordinates, None, result, out)
    x = sines_of(as_turns(phases))
    turns = x @ weight.double().mT + coordinates.double() @ slope.double().mT + bias[:, None].double()
    assert (sines_of(as_turns(result)) - sines_of(turns)).abs().max() < 0.01
    assert relative(out, 1.0 + x @ head.double().mT) < 1e-3


def test_gradients_of_a_layer_are_those_of_automatic_differentiation() -> None:
    phases, coordinates = random_phases(BATCH, N, WIDTH), normal(BATCH, N, 3, seed=1, dtype=torch.float32)
    grad_next, next_weight = normal(BATCH, N, INNER, seed=2), normal(BATCH, INNER, WIDTH, seed=3)
    grad_out, head = normal(BATCH, N, OUTPUTS, seed=4), normal(OUTPUTS, WIDTH, seed=5)
    slope, bias = torch.zeros(BATCH, WIDTH, 3).double(), torch.zeros(BATCH, 1, WIDTH).double()
    turns = as_turns(phases).requires_grad_()
    x = sines_of(turns + coordinates.double() @ slope.requires_grad_().mT + bias.requires_grad_())
    value = (x @ next_weight.double().mT * grad_next.double()).sum()
    value = value + (x @ head.double().mT * grad_out.double()).sum()
    exact = torch.autograd.grad(value, (turns, bias, slope))
    grad, of_bias, of_slope = sine_layer_backward(
        phases, grad_next, next_weight, grad_out, head, coordinates, None
    )
    assert of_slope is not None
    assert relative(grad, exact[0]) < 1e-3
    assert relative(of_bias, exact[1][:, 0]) < 1e-5
    assert relative(of_slope, exact[2]) < 1e-5


def test_gradients_of_weights_are_those_of_automatic_differentiation() -> None:
    phases = random_phases(BATCH, N, INNER)
    grad, grad_out = normal(BATCH, N, WIDTH, seed=1), normal(BATCH, N, OUTPUTS, seed=2)
    weight, head = torch.zeros(BATCH, WIDTH, INNER).double(), torch.zeros(OUTPUTS, INNER).double()
    x = sines_of(as_turns(phases))
    value = (x @ weight.requires_grad_().mT * grad).sum() + (x @ head.requires_grad_().mT * grad_out).sum()
    exact = torch.autograd.grad(value, (weight, head))
    for ours, theirs in zip(weight_gradients(phases, grad, grad_out, None), exact, strict=True):
        assert ours is not None
        assert relative(ours, theirs) < 1e-3


def test_what_nothing_reads_gets_no_gradient() -> None:
    phases = random_phases(BATCH, N, INNER)
    grad, grad_out = normal(BATCH, N, WIDTH, seed=1), normal(BATCH, N, OUTPUTS, seed=2)
    assert weight_gradients(phases, grad, None, None)[1] is None
    assert weight_gradients(phases, None, grad_out, None)[0] is None


def test_a_gradient_beyond_float16_is_cut_not_infinite() -> None:
    phases, grad_out = torch.zeros(1, 3, 5, dtype=torch.int16), torch.full((1, 3, 4), 6e4, dtype=HALF)
    grad, _, _ = sine_layer_backward(phases, None, None, grad_out, torch.ones(4, 5, dtype=HALF), None, None)
    assert (grad == torch.finfo(HALF).max).all()


def test_the_last_head_adds_to_what_is_there() -> None:
    phases, head = random_phases(BATCH, N, WIDTH), normal(OUTPUTS, WIDTH, seed=1)
    out = torch.ones(BATCH, N, OUTPUTS)
    add_head(phases, head, None, out)
    assert relative(out, 1.0 + sines_of(as_turns(phases)) @ head.double().mT) < 1e-3


def test_products_of_half_matrices_add_up_in_float32() -> None:
    a, b = torch.full((1, 1, 4096), 1.0, dtype=HALF), torch.full((1, 4096, 1), 1.0 / 1024, dtype=HALF)
    a[0, 0, 0] = 4096.0  # in half precision the sum would stay at this term, 4
    assert product(a, b).item() == 4.0 + 4095 / 1024
