"""The hand-written network does exactly what its plain twin does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, get_args

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gram.ops import mlp, reference
from gram.ops.mlp import evaluate
from gram.ops.reference import Activation, Layer, evaluate_plain, evaluate_with_checkpoints

ACTIVATIONS = get_args(Activation)


class Case(NamedTuple):
    points: Tensor
    directions: Tensor | None
    layers: list[Layer]
    leaves: list[Tensor]
    probe: Tensor


def make_case(
    *, batch: int = 2, n: int = 21, width: int = 6, directed: bool = False, dtype: torch.dtype = torch.float64
) -> Case:
    """Layers 3 -> width -> width (head) -> width without a head -> width (head)."""
    rng = torch.Generator().manual_seed(0)

    def leaf(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(*shape, generator=rng, dtype=dtype)).requires_grad_()

    def layer(inputs: int, *, head: bool, sees: bool = False) -> Layer:
        return Layer(
            leaf(batch, width, inputs + 3 * sees), leaf(batch, width), leaf(4, width) if head else None, sees
        )

    layers = [
        layer(3, head=False), layer(width, head=True), layer(width, head=False),
        layer(width, head=True, sees=directed),
    ]  # fmt: skip
    points = leaf(batch, n, 3)
    leaves = [points, *(t for each in layers for t in each[:3] if t is not None)]
    directions = leaf(batch, n, 3).detach() if directed else None
    return Case(points, directions, layers, leaves, leaf(batch, n, 4).detach())


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(function, case: Case, activation: Activation, **options) -> tuple[Tensor, list[Tensor]]:
    """Outputs and the gradients of points and all weights."""
    out = function(case.points, case.layers, activation, directions=case.directions, **options)
    return out.detach(), list(torch.autograd.grad((out * case.probe).sum(), case.leaves))


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that few points make several chunks, the last one odd."""
    monkeypatch.setattr(mlp, "CHUNK", 8)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("n", [1, 7, 8, 21])
def test_outputs_and_gradients_equal_those_of_the_plain_twin(
    small_chunks: None, activation: Activation, recompute: bool, directed: bool, count: int, n: int
) -> None:
    case = make_case(n=n, directed=directed)
    expected, expected_gradients = run(evaluate_plain, case, activation)
    with threads(count):
        out, gradients = run(evaluate, case, activation, recompute=recompute)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    assert len(gradients) == len(case.leaves) == len(expected_gradients)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_and_a_size_beyond_one_real_chunk_agree_too(activation: Activation) -> None:
    case = make_case(batch=1, n=mlp.CHUNK + 5, width=4, directed=True, dtype=torch.float32)
    expected, expected_gradients = run(evaluate_plain, case, activation)
    out, gradients = run(evaluate, case, activation)
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert float((ours - theirs).norm() / theirs.norm()) < 2e-5


def test_gradients_agree_with_finite_differences(small_chunks: None) -> None:
    case = make_case(batch=1, n=9, width=3, directed=True)

    def function(*leaves: Tensor) -> Tensor:
        points, *weights = leaves
        rest = iter(weights)
        layers = [
            Layer(next(rest), next(rest), None if layer.head is None else next(rest), layer.sees_directions)
            for layer in case.layers
        ]
        return evaluate(points, layers, "sine", directions=case.directions)

    assert torch.autograd.gradcheck(function, case.leaves)


@pytest.mark.parametrize("recompute", [False, True])
def test_results_with_the_same_threads_are_equal_to_the_bit(small_chunks: None, recompute: bool) -> None:
    case = make_case(dtype=torch.float32, n=50)
    with threads(3):
        first, second = (run(evaluate, case, "sine", recompute=recompute) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))


def test_chunk_size_changes_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case(n=40)
    outputs = []
    for size in (3, 40, 4096):
        monkeypatch.setattr(mlp, "CHUNK", size)
        outputs.append(run(evaluate, case, "sine")[0])
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_recomputation_keeps_no_activation(activation: Activation) -> None:
    case = make_case(n=500)
    kept: dict[bool, int] = {}
    for recompute in (False, True):
        sizes: list[int] = []

        def pack(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            evaluate(case.points, case.layers, activation, recompute=recompute)
        kept[recompute] = sum(sizes)
    arguments = sum(t.numel() for t in case.leaves)
    activations = 2 * 500 * 6 * 4 * (2 if activation == "sine" else 1)
    assert kept == {True: arguments, False: arguments + activations}


def test_without_gradient_nothing_is_kept_and_the_output_is_the_same() -> None:
    case = make_case()
    with torch.no_grad():
        out = evaluate(case.points, case.layers, "sine")
    assert not out.requires_grad
    torch.testing.assert_close(out, run(evaluate, case, "sine")[0], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("recompute", [False, True])
def test_a_graph_that_is_kept_gives_the_same_gradient_twice(recompute: bool) -> None:
    case = make_case()
    loss = (evaluate(case.points, case.layers, "sine", recompute=recompute) * case.probe).sum()
    first = torch.autograd.grad(loss, case.leaves, retain_graph=True)
    second = torch.autograd.grad(loss, case.leaves)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    case = make_case()
    out = evaluate(case.points, case.layers, "sine")
    (gradient,) = torch.autograd.grad(out.square().sum(), case.points, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_arguments_are_left_as_they_were(small_chunks: None) -> None:
    case = make_case(directed=True)
    before = [t.detach().clone() for t in case.leaves]
    run(evaluate, case, "relu")
    run(evaluate, case, "sine")
    assert all(torch.equal(a, b) for a, b in zip(before, case.leaves, strict=True))


def test_no_points_give_no_outputs_and_zero_gradients() -> None:
    case = make_case(n=0)
    out, gradients = run(evaluate, case, "relu")
    assert out.shape == (2, 0, 4)
    assert all(torch.equal(g, torch.zeros_like(g)) for g in gradients)


def test_a_last_layer_without_head_is_refused() -> None:
    case = make_case()
    with pytest.raises(ValueError, match="the last layer of a point network needs a head"):
        evaluate(case.points, case.layers[:3], "sine")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("n", [0, 8, 21])
def test_checkpoints_change_neither_outputs_nor_gradients(
    monkeypatch: pytest.MonkeyPatch, activation: Activation, directed: bool, n: int
) -> None:
    monkeypatch.setattr(reference, "CHUNK", 8)
    case = make_case(n=n, directed=directed)
    expected, expected_gradients = run(evaluate_plain, case, activation)
    out, gradients = run(evaluate_with_checkpoints, case, activation)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


def test_checkpoints_keep_arguments_alone() -> None:
    case = make_case(n=500)
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        evaluate_with_checkpoints(case.points, case.layers, "sine")
    assert sum(t.numel() for t in kept) <= sum(t.numel() for t in case.leaves)
