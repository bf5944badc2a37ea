"""Half precision that is accurate where it matters, against the plain network in float64."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import normalize
from torch.utils._python_dispatch import TorchDispatchMode

from gram.networks.layers import Film
from gram.networks.radiance import RadianceField
from gram.ops import half as phase_network
from gram.ops.half import evaluate_in_half
from gram.ops.mlp import evaluate
from gram.ops.reference import Layer, evaluate_plain

WIDTH, LAYERS, OUTPUTS = 48, 8, 4
TOLERANCE = {torch.float16: 5e-3, torch.bfloat16: 4e-2}
"""Of outputs and gradients, relative in norm; measured 1.3e-3 and 3.8e-3, 1e-2 and 2.6e-2."""


class Case(NamedTuple):
    points: Tensor
    directions: Tensor
    layers: list[Layer]
    leaves: list[Tensor]
    probe: Tensor


def make_case(*, batch: int = 2, n: int = 150, width: int = WIDTH) -> Case:
    """A radiance field as it is initialised, with its published frequencies, in float64."""
    torch.manual_seed(0)
    field = RadianceField(width=width, layers=LAYERS).double()
    shape = (batch, field.film_layers, width)
    film = Film(0.3 * torch.randn(shape).double(), torch.randn(shape).double())
    layers = []
    for layer in field._folded(film):
        weight, bias = (t.detach().requires_grad_() for t in layer[:2])
        head = None if layer.head is None else layer.head.detach().requires_grad_()
        layers.append(Layer(weight, bias, head, layer.sees_directions))
    points = torch.rand(batch, n, 3).double().mul(2).sub(1).requires_grad_()
    leaves = [points, *(t for layer in layers for t in layer[:3] if t is not None)]
    directions = normalize(torch.randn(batch, n, 3).double(), dim=-1)
    return Case(points, directions, layers, leaves, torch.randn(batch, n, OUTPUTS).double())


def run(function: Callable[..., Tensor], case: Case, *, scale: float = 1.0, **options: Any) -> list[Tensor]:
    """Outputs, and the gradients of points and all weights."""
    out = function(case.points, case.layers, directions=case.directions, **options)
    return [out.detach(), *torch.autograd.grad((out * case.probe * scale).sum(), case.leaves)]


def in_float64(case: Case, **options: Any) -> list[Tensor]:
    return run(lambda *a, **k: evaluate_plain(*a, activation="sine", **k), case, **options)


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.double() - theirs).norm() / theirs.norm())


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 150 points of two images make three chunks, the last one odd."""
    monkeypatch.setattr(phase_network, "CHUNK_VALUES", 64 * 2 * WIDTH)


@pytest.mark.parametrize("half", TOLERANCE)
@pytest.mark.parametrize("recompute", [False, True])
def test_outputs_and_gradients_are_those_of_float64_within_tolerance(
    small_chunks: None, half: torch.dtype, recompute: bool
) -> None:
    case = make_case()
    ours = run(evaluate_in_half, case, half=half, recompute=recompute)
    assert ours[0].dtype == torch.float32
    for mine, exact in zip(ours, in_float64(case), strict=True):
        assert relative(mine, exact) < TOLERANCE[half]


def with_half_preactivations(
    points: Tensor, layers: list[Layer], *, directions: Tensor, frequency: float = 30.0
) -> Tensor:
    """W x + b of a matrix product rounded to half, then its frequency and its sine, also in half."""
    x, out = points.half(), torch.zeros(*points.shape[:2], OUTPUTS)
    for layer in layers:
        x = torch.cat([directions.half(), x], -1) if layer.sees_directions else x
        weight, bias = (layer.weight / frequency).half(), (layer.bias / frequency).half()
        x = torch.baddbmm(bias[:, None].float(), x.float(), weight.mT.float()).half()
        x = torch.sin(x * frequency)
        if layer.head is not None:
            out = out + x.float() @ layer.head.half().float().mT
    return out


def test_the_error_is_a_small_part_of_that_of_half_preactivations() -> None:
    case = make_case(width=128)
    with torch.no_grad():
        exact = evaluate_plain(case.points, case.layers, "sine", directions=case.directions)
        prior = with_half_preactivations(case.points, case.layers, directions=case.directions)
        ours = evaluate_in_half(case.points, case.layers, half=torch.float16, directions=case.directions)
    assert relative(prior, exact) > 8 * relative(ours, exact)  # measured: 9.7, and 10.6 at width 256


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_gradients_of_any_size_are_as_accurate(scale: float) -> None:
    case = make_case()
    ours = run(evaluate_in_half, case, half=torch.float16, scale=scale)
    for mine, exact in zip(ours[1:], in_float64(case, scale=scale)[1:], strict=True):
        assert relative(mine, exact) < TOLERANCE[torch.float16]


def test_no_gradient_at_all_is_zero_and_not_nan() -> None:
    case = make_case(n=5)
    assert all(
        (gradient == 0).all() for gradient in run(evaluate_in_half, case, half=torch.float16, scale=0.0)[1:]
    )


def test_points_with_a_thousandth_of_the_gradient_are_heard() -> None:
    """Most of what a picture teaches comes from points whose gradients are far below the largest one."""
    case = make_case()
    case.probe[:, 1:] *= 1e-4
    case.probe[:, 0] *= 10.0
    ours, exact = run(evaluate_in_half, case, half=torch.float16)[1], in_float64(case)[1]
    assert relative(ours[:, 1:], exact[:, 1:]) < 2 * TOLERANCE[torch.float16]


def test_recomputation_gives_the_same_to_the_bit(small_chunks: None) -> None:
    case = make_case()
    kept, recomputed = (
        run(evaluate_in_half, case, half=torch.float16, recompute=recompute) for recompute in (False, True)
    )
    assert all(torch.equal(a, b) for a, b in zip(kept, recomputed, strict=True))


def test_chunks_change_no_output_and_gradients_by_rounding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    case = make_case()
    results = []
    for points in (64, 128, 10_000):
        monkeypatch.setattr(phase_network, "CHUNK_VALUES", points * 2 * WIDTH)
        results.append(run(evaluate_in_half, case, half=torch.float16))
    for other in results[1:]:
        assert torch.equal(other[0], results[0][0])
        assert all(relative(a, b.double()) < 1e-6 for a, b in zip(other, results[0], strict=True))


@pytest.mark.parametrize("recompute", [False, True])
def test_nothing_is_kept_but_arguments_and_16_bits_of_every_activation(recompute: bool) -> None:
    case = make_case()
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        evaluate_in_half(
            case.points, case.layers, half=torch.float16, directions=case.directions, recompute=recompute
        )
    given = {id(t) for t in (*case.leaves, case.directions)}
    shapes = [(t.dtype, tuple(t.shape)) for t in kept if id(t) not in given]
    expected = [] if recompute else [(torch.int16, (2, 150, WIDTH))] * (LAYERS + 1)
    assert shapes == expected


def test_without_gradient_the_output_is_the_same(small_chunks: None) -> None:
    case = make_case()
    with torch.no_grad():
        out = evaluate_in_half(case.points, case.layers, half=torch.float16, directions=case.directions)
    assert not out.requires_grad
    assert torch.equal(out, run(evaluate_in_half, case, half=torch.float16)[0])


@pytest.mark.parametrize("recompute", [False, True])
def test_points_that_are_no_hit_give_zero_and_change_nothing_else(
    small_chunks: None, recompute: bool
) -> None:
    case = make_case()
    hit = torch.rand(2, 150) > 0.5
    ours = run(evaluate_in_half, case, half=torch.float16, hit=hit, recompute=recompute)
    everywhere = run(evaluate_in_half, case, half=torch.float16)
    assert torch.equal(ours[0][hit], everywhere[0][hit])
    assert (ours[0][~hit] == 0).all() and (ours[1][~hit] == 0).all()
    masked = case._replace(probe=case.probe * hit[..., None])
    for mine, exact in zip(ours[1:], in_float64(masked)[1:], strict=True):
        assert relative(mine, exact) < TOLERANCE[torch.float16]


class Waits(TorchDispatchMode):
    """Operations that would wait for a GPU, as their result's value or shape is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        if any(word in name for word in ("_local_scalar_dense", "nonzero", "masked_select", "equal.default")):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("recompute", [False, True])
def test_nobody_waits_for_the_device(small_chunks: None, recompute: bool) -> None:
    case = make_case()
    hit = torch.rand(2, 150) > 0.5
    with Waits() as waits:
        run(evaluate_in_half, case, half=torch.float16, hit=hit, recompute=recompute)
    assert waits.seen == []
    with waits:
        hit.sum().item()
    assert waits.seen == ["aten._local_scalar_dense.default"]


def test_nobody_hit_anything() -> None:
    case = make_case(n=70)
    results = run(evaluate_in_half, case, half=torch.float16, hit=torch.zeros(2, 70, dtype=torch.bool))
    assert all((result == 0).all() for result in results)


def test_no_points_give_no_outputs_and_zero_gradients() -> None:
    case = make_case(n=0)
    out, *gradients = run(evaluate_in_half, case, half=torch.float16)
    assert out.shape == (2, 0, OUTPUTS)
    assert all((gradient == 0).all() for gradient in gradients)


@pytest.mark.parametrize("leaf", range(4))
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_what_is_not_finite_is_not_hidden_by_phases(leaf: int, value: float) -> None:
    case = make_case(n=3)
    with torch.no_grad():
        case.leaves[leaf].view(-1)[0] = value
    out = evaluate_in_half(case.points, case.layers, half=torch.float16, directions=case.directions)
    assert out[0, 0].isnan().all()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_gradient_that_is_not_finite_makes_all_gradients_nan(value: float) -> None:
    case = make_case(n=3)
    case.probe[0, 0, 0] = value
    for gradient in run(evaluate_in_half, case, half=torch.float16)[1:]:
        assert gradient.isnan().all()


def test_a_second_derivative_is_refused_rather_than_wrong() -> None:
    case = make_case(n=3)
    out = evaluate_in_half(case.points, case.layers, half=torch.float16, directions=case.directions)
    (gradient,) = torch.autograd.grad(out.square().sum(), case.points, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.square().sum().backward()


def test_autocast_around_it_changes_nothing() -> None:
    case = make_case(n=20)
    plain = run(evaluate_in_half, case, half=torch.float16)
    with torch.autocast("cpu", torch.bfloat16):
        out = evaluate_in_half(case.points, case.layers, half=torch.float16, directions=case.directions)
    assert torch.equal(out, plain[0])


def test_the_point_network_comes_here_when_asked_for_half_precision() -> None:
    case = make_case(n=20)
    ours = run(lambda *a, **k: evaluate(*a, activation="sine", **k), case, half=torch.float16)
    assert all(
        torch.equal(a, b) for a, b in zip(ours, run(evaluate_in_half, case, half=torch.float16), strict=True)
    )


def test_what_cannot_be_evaluated_is_refused() -> None:
    case = make_case(n=2)
    options: dict[str, Any] = {"half": torch.float16, "directions": case.directions}
    with pytest.raises(ValueError, match="the last layer of a point network needs a head"):
        evaluate_in_half(case.points, case.layers[:1], **options)
    with pytest.raises(ValueError, match="a layer sees directions, but none are given"):
        evaluate_in_half(case.points, case.layers, half=torch.float16)
    with pytest.raises(
        ValueError, match="the first layer of a network in half precision sees the points alone"
    ):
        evaluate_in_half(case.points, case.layers[-1:], **options)
    with pytest.raises(ValueError, match="a network of relus has no half precision"):
        evaluate(case.points, case.layers, "relu", **options)
