"""A ReLU network, its gradients and the intersections made with it, by kernels and plainly.

Run by test_relu_field.py. Tensor cores sum in another order, so results are equal to rounding.
"""

import math
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import pytest
import torch
from interpreted import DEVICE
from torch import Tensor

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.networks.manifold import ManifoldPredictor
from gram.ops import mlp
from gram.ops.backend import TRITON, Backend, backend_of, use_backend
from gram.ops.kernels import relu_field, relu_gradient
from gram.ops.reference import Layer, evaluate_plain
from gram.ops.relu import evaluate_along
from gram.rendering.isosurfaces import Intersections, Mode, intersect

evaluate = partial(mlp.evaluate, backend=TRITON)

SIZES = [(2, 16), (2, 24), (3, 16), (3, 20)]


class Case(NamedTuple):
    points: Tensor
    layers: list[Layer]
    leaves: list[Tensor]  # points, then weight and bias of each layer, then the head
    grad: Tensor


def make_case(hidden: int, width: int, n: int) -> Case:
    rng = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng).to(DEVICE).requires_grad_()

    sizes = [3] + [width] * hidden
    pairs = [(leaf(1, o, i), leaf(1, o)) for i, o in pairwise(sizes)]
    head, points = leaf(1, width), leaf(1, n, 3)
    layers = [Layer(w, b, head if i == hidden - 1 else None) for i, (w, b) in enumerate(pairs)]
    return Case(points, layers, [points, *(t for pair in pairs for t in pair), head], leaf(1, n, 1).detach())


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels work on small chunks, the last one odd."""
    monkeypatch.setattr(relu_gradient, "CHUNK", 64)
    monkeypatch.setattr(relu_gradient, "PART", 32)


def close(ours: Tensor, theirs: Tensor) -> bool:
    ours, theirs = ours.detach(), theirs.detach()
    return float((ours - theirs).norm()) <= 2e-6 * float(theirs.norm())


@pytest.mark.parametrize(("hidden", "width"), SIZES)
@pytest.mark.parametrize("n", [1, 33, 100])
def test_values_and_gradients_equal_those_of_the_plain_twin(
    kernels: None, hidden: int, width: int, n: int
) -> None:
    case = make_case(hidden, width, n)
    expected, out = (f(case.points, case.layers, "relu") for f in (evaluate_plain, evaluate))
    assert type(out.grad_fn).__name__ == "_EvaluateBackward"
    assert close(out, expected)
    for grad in (case.grad, torch.where(torch.arange(n, device=DEVICE)[:, None] < n // 2, 0.0, case.grad)):
        ours, theirs = (torch.autograd.grad(o, case.leaves, grad, retain_graph=True) for o in (out, expected))
        assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))
        ours, theirs = (torch.autograd.grad(o, case.leaves[1:], grad, retain_graph=True)
                        for o in (out, expected))  # fmt: skip
        assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))


def test_gradients_are_the_same_every_time(kernels: None) -> None:
    case = make_case(3, 16, 100)
    first, second = (
        torch.autograd.grad(evaluate(case.points, case.layers, "relu"), case.leaves, case.grad)
        for _ in range(2)
    )
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_points_without_gradient_are_not_evaluated(kernels: None) -> None:
    case = make_case(3, 16, 64)
    points = torch.where(torch.arange(64, device=DEVICE)[:, None] < 32, case.points, torch.nan).detach()
    grad = torch.where(torch.arange(64, device=DEVICE)[:, None] < 32, case.grad, 0.0)
    ours, theirs = (
        torch.autograd.grad(f(p, case.layers, "relu"), case.leaves[1:], g)
        for f, p, g in (
            (evaluate, points, grad),
            (evaluate_plain, case.points[:, :32], case.grad[:, :32]),
        )
    )
    assert all(close(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("where", ["points", "weights"])
def test_nan_is_handed_on(kernels: None, where: str) -> None:
    case = make_case(3, 16, 40)
    with torch.no_grad():
        (case.points[:, :3] if where == "points" else case.layers[1].weight)[0, 0] = torch.nan
    out, expected = (f(case.points, case.layers, "relu") for f in (evaluate, evaluate_plain))
    assert torch.equal(out.isnan(), expected.isnan())
    assert out.isnan().any()


def test_no_points_give_no_values_and_zero_gradients(kernels: None) -> None:
    case = make_case(2, 16, 0)
    out = evaluate(case.points, case.layers, "relu")
    assert out.shape == (1, 0, 1)
    assert all(not g.any() for g in torch.autograd.grad(out, case.leaves, case.grad))


@pytest.mark.parametrize("count", [1, 12])
def test_values_along_rays_are_those_at_their_points(kernels: None, count: int) -> None:
    manifold = ManifoldPredictor(width=20).to(DEVICE)
    for parameter in manifold.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.3)
    poses = torch.tensor([[1.5, 1.6], [1.7, 1.2]], device=DEVICE)
    rays = pixel_rays(look_at_origin(poses), size=5, fov=0.2)
    t = torch.linspace(0.88, 1.12, count, device=DEVICE)
    use_backend(manifold, TRITON)
    layers, centre = manifold._layers(), manifold.centre
    assert evaluate_along(rays, t, layers, scale=1.0, centre=centre, backend=TRITON) is not None
    values = manifold.along(rays, t)
    exact = ManifoldPredictor(width=20).double().to(DEVICE)
    exact.load_state_dict(manifold.state_dict())
    points = rays._replace(origins=rays.origins.double(), directions=rays.directions.double()).at(
        t.double().expand(2, 25, count)
    )
    assert values.shape == (2, 25, count)
    torch.testing.assert_close(values.double(), exact(points).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["linear", "refined"])
def test_intersections_and_their_gradients_are_those_of_the_plain_way(
    mode: Mode, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    manifold = ManifoldPredictor(width=16, init="sphere").to(DEVICE)
    with torch.no_grad():
        for parameter in manifold.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    poses = torch.tensor([[1.5, 1.6], [1.7, 1.2]], device=DEVICE)
    rays = pixel_rays(look_at_origin(poses), size=5, fov=math.radians(12))
    levels = torch.linspace(23.0, 8.0, 7, device=DEVICE)
    probe = torch.rand(2, 25, 7, generator=torch.Generator().manual_seed(1)).to(DEVICE)

    def found(backend: Backend) -> tuple[Intersections, tuple[Tensor, ...]]:
        use_backend(manifold, backend)
        options = {"near": 0.88, "far": 1.12, "num_samples": 12, "backend": backend}
        hits = intersect(manifold, rays, levels, mode=mode, **options)
        return hits, torch.autograd.grad((hits.t * probe).sum(), list(manifold.parameters()))

    expected, expected_gradients = found(backend_of(torch.device(DEVICE), kernels=False))
    ours, gradients = found(TRITON)
    assert 0.3 < expected.hit.float().mean() < 1.0
    assert torch.equal(ours.hit, expected.hit)
    torch.testing.assert_close(ours.t, expected.t, rtol=0, atol=2e-6)
    for mine, theirs in zip(gradients, expected_gradients, strict=True):
        assert float((mine - theirs).norm()) < 1e-4 * float(theirs.norm())


def test_networks_that_the_kernels_do_not_know_take_the_plain_way(kernels: None) -> None:
    rays = pixel_rays(look_at_origin(torch.tensor([[1.5, 1.6]], device=DEVICE)), size=2, fov=0.2)
    t = torch.ones(3, device=DEVICE)
    for width, hidden in ((16, 1), (16, 4), (relu_field.WIDEST + 1, 2)):
        manifold = ManifoldPredictor(width=width, hidden_layers=hidden).to(DEVICE)
        use_backend(manifold, TRITON)
        layers, centre = manifold._layers(), manifold.centre
        assert evaluate_along(rays, t, layers, scale=1.0, centre=centre, backend=TRITON) is None
        assert manifold.along(rays, t).shape == (1, 4, 3)
