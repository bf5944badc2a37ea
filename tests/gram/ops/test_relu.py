"""What runs off the CPU does what the plain network does, and keeps nothing but its inputs."""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gram.ops import relu
from gram.ops.backend import LEAN
from gram.ops.mlp import evaluate
from gram.ops.reference import Layer, evaluate_plain
from gram.ops.relu import evaluate_along, evaluate_relu


class Case(NamedTuple):
    points: Tensor
    directions: Tensor | None
    layers: list[Layer]
    leaves: list[Tensor]
    grad: Tensor


def make_case(*, batch: int = 2, n: int = 21, width: int = 6, directed: bool = False) -> Case:
    """Layers 3 -> width -> width (head) -> width (head)."""
    rng = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()

    layers = [
        Layer(leaf(batch, width, inputs + 3 * sees), leaf(batch, width), leaf(4, width) if i else None, sees)
        for i, (inputs, sees) in enumerate([(3, False), (width, False), (width, directed)])
    ]
    points = leaf(batch, n, 3)
    leaves = [points, *(t for each in layers for t in each[:3] if t is not None)]
    directions = leaf(batch, n, 3).detach() if directed else None
    return Case(points, directions, layers, leaves, leaf(batch, n, 4).detach())


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """So that few points make several chunks, the last one odd."""
    monkeypatch.setattr(relu, "CHUNK", 16)
    yield


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("n", [0, 1, 8, 21])
def test_outputs_and_gradients_equal_those_of_the_plain_twin(directed: bool, n: int) -> None:
    case = make_case(n=n, directed=directed)
    out, expected = (f(case.points, case.layers, directions=case.directions) for f in (evaluate_relu, plain))
    torch.testing.assert_close(out, expected, rtol=1e-14, atol=1e-14)
    for ours, theirs in zip(*(torch.autograd.grad(o, case.leaves, case.grad) for o in (out, expected)),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def plain(points: Tensor, layers: list[Layer], *, directions: Tensor | None = None) -> Tensor:
    return evaluate_plain(points, layers, "relu", directions=directions)


def test_gradients_agree_with_finite_differences() -> None:
    case = make_case(batch=1, n=20, width=3)

    def function(*leaves: Tensor) -> Tensor:
        points, w1, b1, w2, b2, h2, w3, b3, h3 = leaves
        return evaluate_relu(points, [Layer(w1, b1, None), Layer(w2, b2, h2), Layer(w3, b3, h3)])

    assert torch.autograd.gradcheck(function, case.leaves)


def test_only_inputs_are_kept() -> None:
    case = make_case(n=500, width=16)
    kept: dict[str, int] = {}
    for name, function in (("lean", evaluate_relu), ("plain", plain)):
        sizes: dict[int, int] = {}

        def pack(tensor: Tensor, sizes: dict[int, int] = sizes) -> Tensor:
            sizes[tensor.data_ptr()] = tensor.numel()
            return tensor

        with saved_tensors_hooks(pack, lambda tensor: tensor):
            function(case.points, case.layers)
        kept[name] = sum(sizes.values())
    assert kept["lean"] == sum(t.numel() for t in case.leaves)
    assert kept["plain"] >= 3 * 2 * 500 * 16  # an activation of every layer


def test_outputs_that_are_known_are_handed_on_with_their_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case()
    with torch.no_grad():
        known = plain(case.points, case.layers)
    expected = torch.autograd.grad(plain(case.points, case.layers), case.leaves, case.grad)
    evaluations: list[int] = []

    def counted(points: Tensor, *args, **options) -> Tensor:
        evaluations.append(points.shape[1])
        return evaluate_plain(points, *args, **options)

    monkeypatch.setattr(relu, "evaluate_plain", counted)
    out = evaluate_relu(case.points, case.layers, known=known)
    assert torch.equal(out, known)
    assert evaluations == []
    for ours, theirs in zip(torch.autograd.grad(out, case.leaves, case.grad), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert sum(evaluations) == 21


def test_frozen_weights_and_points_get_no_gradient() -> None:
    case = make_case()
    frozen = [t.detach() for t in case.leaves]
    points, w1, b1, w2, b2, h2, w3, b3, h3 = frozen
    trained = w2.requires_grad_()
    out = evaluate_relu(points, [Layer(w1, b1, None), Layer(trained, b2, h2), Layer(w3, b3, h3)])
    (gradient,) = torch.autograd.grad(out, trained, case.grad)
    (expected,) = torch.autograd.grad(plain(case.points, case.layers), case.layers[1].weight, case.grad)
    torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-12)


def test_autocast_leaves_it_in_float32() -> None:
    rng = torch.Generator().manual_seed(0)
    sizes = [3, 16, 16]
    layers = [
        Layer(torch.randn(1, o, i, generator=rng).requires_grad_(), torch.zeros(1, o), None)
        for i, o in pairwise(sizes)
    ]
    layers[-1] = layers[-1]._replace(head=torch.randn(1, 16, generator=rng))
    points = torch.randn(1, 40, 3, generator=rng)

    def run() -> tuple[Tensor, ...]:
        out = evaluate_relu(points, layers)
        return out, *torch.autograd.grad(out.sum(), layers[0].weight)

    expected = run()
    with torch.autocast("cpu", torch.bfloat16):
        found = run()
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        assert torch.equal(ours, theirs)


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    case = make_case()
    (gradient,) = torch.autograd.grad(
        evaluate_relu(case.points, case.layers).square().sum(), case.points, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_networks_off_the_cpu_go_this_way() -> None:
    case = make_case()
    on_cpu = evaluate(case.points, case.layers, "relu")
    elsewhere = evaluate(case.points, case.layers, "relu", backend=LEAN)
    assert "gram.ops.mlp" in repr(type(on_cpu.grad_fn)._forward_cls)  # pyright: ignore
    assert "gram.ops.relu" in repr(type(elsewhere.grad_fn)._forward_cls)  # pyright: ignore
    torch.testing.assert_close(elsewhere, on_cpu, rtol=1e-12, atol=1e-12)


def test_without_kernels_there_is_no_quicker_way_along_rays() -> None:
    from gram.geometry.cameras import Rays

    case = make_case(batch=1)
    rays = Rays(torch.zeros(4, 3), torch.ones(4, 3))
    centre = torch.zeros(3)
    assert evaluate_along(rays, torch.ones(2), case.layers, scale=1.0, centre=centre) is None
