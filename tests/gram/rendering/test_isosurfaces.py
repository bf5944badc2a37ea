"""Intersections against closed forms, a slow search with autograd through it, and finite differences."""

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.networks.manifold import ManifoldPredictor
from gram.ops import relu
from gram.ops.backend import LEAN, Backend, use_backend
from gram.ops.reference import evaluate_plain
from gram.rendering.isosurfaces import (
    MIN_COSINE,
    MIN_DIFFERENCE,
    ROOT_TOLERANCE,
    FunctionField,
    Intersections,
    Mode,
    intersect,
)

NEAR, FAR = 0.88, 1.12
MODES = get_args(Mode)
CENTRE = (0.004, -0.01, 0.006)


def some_rays(size: int = 8, views: int = 3, dtype: torch.dtype = torch.float64) -> Rays:
    poses = 1.57 + torch.tensor([[0.0, 0.1], [0.2, -0.5], [-0.3, 0.4]], dtype=dtype)[:views]
    return pixel_rays(look_at_origin(poses), size=size, fov=math.radians(12))


def sphere(points: Tensor) -> Tensor:
    """100 times the distance from CENTRE."""
    return 100.0 * (points - torch.tensor(CENTRE, dtype=points.dtype)).norm(dim=-1)


def entry_of_sphere(rays: Rays, radii: Tensor, centre: Tensor | None = None) -> Intersections:
    """Closed form: where rays first meet spheres around CENTRE."""
    centre = torch.tensor(CENTRE, dtype=torch.float64) if centre is None else centre
    offset, directions = centre - rays.origins.double(), rays.directions.double()
    squared_length = directions.square().sum(-1, keepdim=True)  # 1, but for rounding to float32
    along = (offset * directions).sum(-1, keepdim=True) / squared_length
    inside = (radii**2 - offset.square().sum(-1, keepdim=True)) / squared_length + along**2
    return Intersections(along - inside.clamp_min(0.0).sqrt(), inside > 0)


def search(
    field: Callable[[Tensor], Tensor],
    rays: Rays,
    levels: Tensor,
    num_samples: int,
    mode: Mode,
    backend: Backend | None = None,
) -> Intersections:
    scalar = field if isinstance(field, ManifoldPredictor) else FunctionField(field)
    options = {"near": NEAR, "far": FAR, "num_samples": num_samples, "backend": backend}
    return intersect(scalar, rays, levels, mode=mode, **options)


def search_slowly(field: Callable[[Tensor], Tensor], rays: Rays, levels: Tensor, num_samples: int) -> Tensor:
    """Section 4 of the method, one ray, level and interval at a time, autograd through all of it."""
    grid = torch.linspace(NEAR, FAR, num_samples, dtype=levels.dtype)
    values = field(rays.origins[:, None] + grid[:, None] * rays.directions[:, None])
    found = []
    for s in values:
        for level in levels:
            t = torch.tensor(FAR, dtype=levels.dtype)
            for k in range(num_samples - 1):
                if s[k] >= level >= s[k + 1]:
                    difference = s[k + 1] - s[k]
                    interpolated = ((s[k + 1] - level) * grid[k] + (level - s[k]) * grid[k + 1]) / difference
                    t = interpolated if difference.abs() > 0.05 else grid[k + 1]
                    break
            found.append(t)
    return torch.stack(found).view(len(values), len(levels))


def table_field(values: Tensor) -> Callable[[Tensor], Tensor]:
    """For rays along -z from (ray index, 0, 1): the row of values of each ray, linear in between."""

    def field(points: Tensor) -> Tensor:
        ray = points[..., 0].round().long()
        position = (1.0 - points[..., 2] - NEAR) / (FAR - NEAR) * (values.shape[1] - 1)
        whole = position.round()  # rounding must not move a value off its tie
        position = torch.where((position - whole).abs() < 1e-9, whole, position)
        start = position.floor().long().clamp(0, values.shape[1] - 2)
        return torch.lerp(values[ray, start], values[ray, start + 1], position - start)

    return field


def rays_of_table(count: int) -> Rays:
    origins = torch.zeros(count, 3, dtype=torch.float64)
    origins[:, 0], origins[:, 2] = torch.arange(count), 1.0
    return Rays(origins, torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).expand(count, 3))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_refined_hits_of_spheres_are_those_of_the_closed_form(dtype: torch.dtype) -> None:
    rays, radii = some_rays(size=16, dtype=dtype), torch.tensor([0.08, 0.05, 0.02], dtype=torch.float64)
    found, expected = (
        search(sphere, rays, 100.0 * radii.to(dtype), 64, "refined"),
        entry_of_sphere(rays, radii),
    )
    # A ray may graze a sphere between two points of the search, so that they do not see it.
    grazing = expected.hit & ~entry_of_sphere(rays, 0.99 * radii).hit
    hit, t = found.hit & ~grazing, found.t.detach()
    assert hit.sum() > 300
    assert torch.equal(hit, expected.hit & ~grazing)
    error = (t.double() - expected.t)[hit].abs()
    if dtype == torch.float64:
        assert error.max() < ROOT_TOLERANCE * (FAR - NEAR)
    else:  # rounding of points of length 1 moves the root by that much over the cosine of incidence
        normals = (rays.at(t) - torch.tensor(CENTRE)) / radii[:, None]
        cosine = (normals * rays.directions[..., None, :]).sum(-1)[hit].abs()
        assert (error * cosine).max() < 4 * torch.finfo(dtype).eps
    assert (t[~found.hit] == FAR).all()


def test_linear_hits_converge_to_the_closed_form_with_the_square_of_the_spacing() -> None:
    rays, radii = some_rays(), torch.tensor([0.08, 0.05], dtype=torch.float64)
    expected = entry_of_sphere(rays, radii)
    clear = expected.hit & (entry_of_sphere(rays, radii * 0.9).hit)
    for num_samples in (16, 32, 64, 128):
        found = search(sphere, rays, 100.0 * radii, num_samples, "linear")
        spacing = (FAR - NEAR) / (num_samples - 1)
        # Error of a chord: spacing^2 / 8 times curvature over slope along the ray, at most
        # (1 / 0.05) / sqrt(1 - 0.9^2) / 0.9 of a sphere met within 0.9 of its radius; twice that, for
        # higher terms.
        bound = 2.0 * spacing**2 / 8.0 * (1.0 / 0.05) / (math.sqrt(1.0 - 0.81) * 0.9)
        assert found.hit[clear].all()
        assert (found.t - expected.t)[clear].abs().max() < bound


@pytest.mark.parametrize("mode", MODES)
def test_planes_are_met_exactly(mode: Mode) -> None:
    rays = some_rays()
    heights = torch.tensor([0.05, 0.03, 0.0], dtype=torch.float64)
    found = search(lambda x: 200.0 * x[..., 2], rays, 200.0 * heights, 9, mode)
    expected = (heights - rays.origins[..., 2:]) / rays.directions[..., 2:]
    assert found.hit.all()
    torch.testing.assert_close(found.t.detach(), expected, rtol=0, atol=1e-12 if mode == "linear" else 2.4e-7)


@pytest.mark.parametrize("mode", MODES)
def test_only_the_first_decreasing_crossing_counts(mode: Mode) -> None:
    values = torch.tensor(
        [
            [0.0, 4.0, 0.0, 4.0, 0.0],  # up, DOWN, up, down
            [0.0, 1.0, 2.0, 3.0, 4.0],  # up only
            [4.0, 3.0, 1.0, 3.0, 1.0],  # down DOWN up down
            [2.0, 3.0, 3.5, 3.0, 1.0],  # touches 2 at the start, but does not fall below it there
            [4.0, 2.0, 4.0, 2.0, 1.0],  # falls onto 2
        ],
        dtype=torch.float64,
    )
    found = search(table_field(values), rays_of_table(5), torch.tensor([2.0]).double(), 5, mode)
    step = (FAR - NEAR) / 4
    expected = NEAR + step * torch.tensor([1.5, math.nan, 1.5, 3.5, 1.0], dtype=torch.float64)
    assert found.hit[:, 0].tolist() == [True, False, True, True, True]
    torch.testing.assert_close(found.t[found.hit], expected[found.hit[:, 0]], rtol=0, atol=3e-7)
    assert found.t[1, 0].item() == FAR


def test_random_fields_agree_with_the_slow_search_ties_included() -> None:
    rng = torch.Generator().manual_seed(0)
    values = torch.randint(0, 6, (200, 8), generator=rng).double()  # many ties and flat stretches
    levels = torch.tensor([4.0, 2.5, 1.0], dtype=torch.float64)
    found = search(table_field(values), rays_of_table(200), levels, 8, "linear")
    slow = search_slowly(table_field(values), rays_of_table(200), levels, 8)
    torch.testing.assert_close(found.t, slow, rtol=0, atol=1e-12)
    assert torch.equal(found.hit | (found.t == FAR), torch.ones_like(found.hit))
    assert found.hit[slow < FAR].all()
    assert 0.1 < found.hit.double().mean() < 0.99


def test_flat_brackets_end_at_their_far_end() -> None:
    flat, steep = 0.9 * MIN_DIFFERENCE, 1.1 * MIN_DIFFERENCE
    values = torch.tensor([[flat, 0.0, -1.0], [steep, 0.0, -1.0]], dtype=torch.float64)
    level = torch.tensor([0.01], dtype=torch.float64)
    found = search(table_field(values), rays_of_table(2), level, 3, "linear")
    middle, step = (NEAR + FAR) / 2, (FAR - NEAR) / 2
    assert found.t[0, 0] == middle
    assert float(found.t[1, 0]) == pytest.approx(middle - step * 0.01 / steep, abs=1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_several_levels_in_one_bracket_are_told_apart(mode: Mode) -> None:
    levels = torch.tensor([9.0, 7.0, 5.0, 3.0, 1.0], dtype=torch.float64)
    values = torch.tensor([[10.0, 0.0]], dtype=torch.float64)
    found = search(table_field(values), rays_of_table(1), levels, 2, mode)
    expected = NEAR + (FAR - NEAR) * (10.0 - levels) / 10.0
    assert found.hit.all()
    torch.testing.assert_close(found.t[0], expected, rtol=0, atol=ROOT_TOLERANCE * (FAR - NEAR))


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_levels_and_the_grouping_of_rays_change_nothing(mode: Mode) -> None:
    rays, levels = some_rays(), torch.tensor([8.0, 6.0, 3.0], dtype=torch.float64)
    whole = search(sphere, rays, levels, 16, mode)
    order = torch.tensor([2, 0, 1])
    reordered = search(sphere, rays, levels[order], 16, mode)
    assert torch.equal(reordered.hit, whole.hit[..., order])
    torch.testing.assert_close(reordered.t, whole.t[..., order], rtol=0, atol=1e-14)
    for part in (slice(0, 7), slice(7, 64)):
        piece = search(sphere, Rays(rays.origins[:, part], rays.directions[:, part]), levels, 16, mode)
        torch.testing.assert_close(piece.t, whole.t[:, part], rtol=0, atol=1e-14)


@pytest.mark.parametrize("mode", MODES)
def test_rays_that_miss_have_far_as_distance_and_no_gradient(mode: Mode) -> None:
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    unreachable = torch.tensor([1e4, -5.0], dtype=torch.float64)
    found = search(lambda x: scale * sphere(x), some_rays(), unreachable, 16, mode)
    assert not found.hit.any()
    assert torch.equal(found.t, torch.full_like(found.t, FAR))
    (gradient,) = torch.autograd.grad(found.t.sum() + 0.0 * scale, scale)
    assert float(gradient) == 0.0


def small_manifold() -> ManifoldPredictor:
    torch.manual_seed(0)
    return ManifoldPredictor(width=16, hidden_layers=2, init="sphere").double()


def gradients_of(module: nn.Module, loss: Tensor) -> list[Tensor]:
    # the bias of the last layer moves all values alike; that too must show
    return list(torch.autograd.grad(loss, list(module.parameters())))


def test_linear_gradients_equal_autograd_through_the_whole_search() -> None:
    manifold, rays = small_manifold(), some_rays(size=4)
    flat = Rays(rays.origins.flatten(0, 1), rays.directions.flatten(0, 1))
    levels = torch.tensor([23.0, 17.0, 12.0, 8.0], dtype=torch.float64)
    probe = torch.rand(48, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fast = search(manifold, flat, levels, 12, "linear")
    slow = search_slowly(manifold, flat, levels, 12)
    assert 0.3 < fast.hit.double().mean() < 1.0
    torch.testing.assert_close(fast.t, slow, rtol=0, atol=1e-12)
    for ours, theirs in zip(gradients_of(manifold, (fast.t * probe).sum()),
                            gradients_of(manifold, (slow * probe).sum()), strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_refined_gradient_of_a_sphere_is_that_of_the_closed_form() -> None:
    rays, levels = some_rays(), torch.tensor([0.08, 0.05], dtype=torch.float64)
    centre = torch.tensor(CENTRE, dtype=torch.float64, requires_grad=True)
    scale = torch.ones((), dtype=torch.float64, requires_grad=True)
    found = search(lambda x: scale * (x - centre).norm(dim=-1), rays, levels, 64, "refined")
    exact = entry_of_sphere(rays, levels / scale, centre)
    grazing = entry_of_sphere(rays, 0.95 * levels).hit.logical_not()
    kept = found.hit & ~grazing
    assert kept.sum() > 50
    for ours, theirs in zip(torch.autograd.grad(found.t[kept].square().sum(), [centre, scale]),
                            torch.autograd.grad(exact.t[kept].square().sum(), [centre, scale]),
                            strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)


class SmoothField(nn.Module):
    """A ball with waves on it: no kinks, so finite differences are exact to second order."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.waves = nn.Parameter(5.0 * torch.randn(4, 3, generator=rng, dtype=torch.float64))
        self.heights = nn.Parameter(0.5 * torch.randn(4, generator=rng, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return sphere(x) + torch.sin(2.0 * (x @ self.waves.mT)) @ self.heights


def test_refined_gradients_agree_with_central_finite_differences() -> None:
    field, levels = SmoothField(), torch.tensor([7.0, 4.0], dtype=torch.float64)
    rays = some_rays(size=4, views=1)
    found = search(field, rays, levels, 32, "refined")
    probe = torch.rand(found.t.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    exact = gradients_of(field, (found.t * probe)[found.hit].sum())

    def precise() -> Tensor:
        """Bisection far below the tolerance of the refined root, whose error would drown the difference."""
        low, high = torch.full_like(found.t, NEAR), torch.where(found.hit, found.t.detach() + 1e-3, FAR)
        low = torch.where(found.hit, found.t.detach() - 1e-3, low)
        for _ in range(50):
            middle = (low + high) / 2
            outside = field(rays.at(middle)) > levels
            low, high = torch.where(outside, middle, low), torch.where(outside, high, middle)
        return (low * probe)[found.hit].sum()

    with torch.no_grad():
        for parameter, gradient in zip(field.parameters(), exact, strict=True):
            for i in range(parameter.numel()):
                values, step = parameter.view(-1), 1e-5
                original = float(values[i])
                values[i] = original + step
                above = precise()
                values[i] = original - step
                below = precise()
                values[i] = original
                difference = float(above - below) / (2.0 * step)
                assert difference == pytest.approx(float(gradient.view(-1)[i]), rel=1e-5, abs=1e-8)


def test_both_modes_move_a_fine_search_alike() -> None:
    manifold, levels = small_manifold(), torch.tensor([20.0, 10.0], dtype=torch.float64)
    linear, refined = (search(manifold, some_rays(), levels, 64, mode) for mode in MODES)
    both = linear.hit & refined.hit
    assert torch.equal(linear.hit, refined.hit)
    error = (linear.t - refined.t)[both].detach().abs()
    assert error.max() < (FAR - NEAR) / 63  # within the bracket
    assert error.median() < 1e-5
    cosines = [
        torch.cosine_similarity(a.flatten(), b.flatten(), dim=0)
        for a, b in zip(gradients_of(manifold, linear.t[both].sum()),
                        gradients_of(manifold, refined.t[both].sum()), strict=True)
    ]  # fmt: skip
    assert min(float(c) for c in cosines) > 0.99


def test_grazing_rays_have_bounded_gradients() -> None:
    origin = torch.tensor([[0.05 - 1e-13, 0.0, 1.0]], dtype=torch.float64)
    rays = Rays(origin, torch.tensor([[0.0, 0.0, -1.0]], dtype=torch.float64))
    shift = torch.zeros((), dtype=torch.float64, requires_grad=True)
    level = torch.tensor([0.05], dtype=torch.float64)
    found = search(lambda x: x.norm(dim=-1) + shift, rays, level, 5, "refined")  # the middle point touches
    assert found.hit.all()
    (gradient,) = torch.autograd.grad(found.t.sum(), shift)
    assert 0.0 < float(gradient) <= 1.0 / MIN_COSINE * (1.0 + 1e-9)


@pytest.mark.parametrize("mode", MODES)
def test_activations_of_the_search_are_kept_out_of_autograd(mode: Mode) -> None:
    manifold = small_manifold()
    levels = torch.tensor([20.0, 10.0], dtype=torch.float64)
    with_gradient: list[int] = []
    saved: list[int] = []

    def field(points: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            with_gradient.append(points.numel() // 3)
        return manifold(points)

    def pack(tensor: Tensor) -> Tensor:
        saved.append(tensor.numel() * tensor.element_size())
        return tensor

    rays, num_samples = some_rays(), 128
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        hits = search(field, rays, levels, num_samples, mode).hit
    count = int(hits.sum())
    assert count > 0
    assert sum(with_gradient) <= (2 if mode == "linear" else 1) * count
    of_the_search = 3 * 64 * num_samples * 16 * 8  # one layer's activations of all its points
    assert sum(saved) < of_the_search / 4


@pytest.mark.parametrize("mode", MODES)
def test_without_gradient_the_hits_are_the_same(mode: Mode) -> None:
    manifold, levels = small_manifold(), torch.tensor([20.0, 10.0], dtype=torch.float64)
    with_gradient = search(manifold, some_rays(), levels, 32, mode)
    with torch.no_grad():
        without = search(manifold, some_rays(), levels, 32, mode)
    assert with_gradient.t.requires_grad
    assert not without.t.requires_grad
    torch.testing.assert_close(with_gradient.t.detach(), without.t, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", MODES)
def test_off_the_cpu_hits_and_gradients_are_the_same(mode: Mode) -> None:
    manifold, rays = small_manifold(), some_rays()
    levels = torch.tensor([23.0, 17.0, 12.0, 8.0], dtype=torch.float64)
    probe = torch.rand(3, 64, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    on_cpu = search(manifold, rays, levels, 12, mode)
    gradients = gradients_of(manifold, (on_cpu.t * probe).sum())
    use_backend(manifold, LEAN)
    elsewhere = search(manifold, rays, levels, 12, mode, LEAN)
    assert 0.3 < on_cpu.hit.double().mean() < 1.0
    assert torch.equal(elsewhere.hit, on_cpu.hit)
    torch.testing.assert_close(elsewhere.t, on_cpu.t, rtol=0, atol=1e-13)
    for ours, theirs in zip(gradients_of(manifold, (elsewhere.t * probe).sum()), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_off_the_cpu_values_of_the_search_are_not_evaluated_again(monkeypatch: pytest.MonkeyPatch) -> None:
    manifold, levels = small_manifold(), torch.tensor([20.0, 10.0], dtype=torch.float64)
    evaluated: list[int] = []

    def counted(points: Tensor, *args, **options) -> Tensor:
        evaluated.append(points.shape[1])
        return evaluate_plain(points, *args, **options)

    use_backend(manifold, LEAN)
    monkeypatch.setattr(relu, "evaluate_plain", counted)
    found = search(manifold, some_rays(), levels, 32, "linear", LEAN)
    assert evaluated == [3 * 64 * 32]
    gradients_of(manifold, found.t.sum())
    assert evaluated == [3 * 64 * 32, 2 * 2 * 3 * 64]  # both ends, by level


def test_off_the_cpu_nothing_waits_for_values() -> None:
    """On the meta device there are none: whatever needs one raises."""
    manifold = small_manifold().to("meta")
    rays = some_rays().map(lambda part: part.to("meta"))
    levels = torch.tensor([20.0, 10.0], dtype=torch.float64, device="meta")
    found = search(manifold, rays, levels, 32, "linear")
    assert found.t.shape == found.hit.shape == (3, 64, 2)
    assert all(g.device.type == "meta" for g in gradients_of(manifold, found.t.sum()))


def test_an_unknown_mode_is_refused_with_the_known_ones() -> None:
    with pytest.raises(Exception, match=r"cubic") as error:
        intersect.__wrapped__(  # pyright: ignore[reportFunctionMemberAccess] - beneath the type checker
            sphere, some_rays(), torch.ones(1).double(), near=NEAR, far=FAR, num_samples=4, mode="cubic"
        )
    assert str(error.value) == "intersection mode 'cubic' is unknown: use one of linear, refined"


@pytest.mark.parametrize("num_samples", [-1, 0, 1])
def test_a_search_with_less_than_one_interval_is_refused(num_samples: int) -> None:
    with pytest.raises(ValueError, match=f"num_samples = {num_samples}: a crossing needs at least 2 points"):
        search(sphere, some_rays(), torch.ones(1).double(), num_samples, "linear")
