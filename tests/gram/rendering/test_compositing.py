"""Compositing against a slow loop over the paper's equation 5, and its limits."""

import math

import pytest
import torch
from torch import Tensor

from gram.rendering.compositing import EPSILON, Composite, composite, median_depth, occupancy_from_density

FAR = 1.12


def some_samples(rays: int = 6, n: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """(t, rgb, alpha), unsorted, one sample in three invisible."""
    rng = torch.Generator().manual_seed(seed)
    t = 0.88 + 0.24 * torch.rand(rays, n, generator=rng, dtype=torch.float64)
    rgb = torch.rand(rays, n, 3, generator=rng, dtype=torch.float64)
    alpha = torch.rand(rays, n, generator=rng, dtype=torch.float64)
    return t, rgb, alpha * (torch.rand(rays, n, generator=rng) > 0.33)


def composite_slowly(t: Tensor, rgb: Tensor, alpha: Tensor, *, white: bool = False) -> Composite:
    """One ray and one sample at a time."""
    colors, depths, opacities, weights = [], [], [], torch.zeros_like(alpha)
    for ray in range(len(t)):
        through, color = torch.ones((), dtype=t.dtype), torch.zeros(3, dtype=t.dtype)
        depth, opacity = torch.zeros((), dtype=t.dtype), torch.zeros((), dtype=t.dtype)
        for i in t[ray].detach().argsort().tolist():
            weight = through * alpha[ray, i]
            weights[ray, i] = weight.detach()
            color = color + weight * rgb[ray, i]
            depth, opacity = depth + weight * t[ray, i], opacity + weight
            through = through * (1.0 - alpha[ray, i] + 1e-10)
        colors.append(color + (1.0 - opacity) if white else color)
        depths.append(
            depth / opacity if float(opacity.detach()) > 1e-10 else torch.tensor(FAR, dtype=t.dtype)
        )
        opacities.append(opacity)
    return Composite(torch.stack(colors), torch.stack(depths), torch.stack(opacities), weights, t)


@pytest.mark.parametrize("white", [False, True])
def test_it_agrees_with_the_loop_over_samples(white: bool) -> None:
    samples = some_samples(rays=40)
    fast = composite(*samples, far=FAR, white_background=white)
    slow = composite_slowly(*samples, white=white)
    for ours, theirs in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("white", [False, True])
def test_gradients_agree_with_the_loop_over_samples(white: bool) -> None:
    gradients = []
    for function in (lambda *s: composite(*s, far=FAR, white_background=white),
                     lambda *s: composite_slowly(*s, white=white)):  # fmt: skip
        samples = [s.requires_grad_() for s in some_samples()]
        result = function(*samples)
        loss = (result.rgb * torch.arange(18.0).view(6, 3)).sum() + result.depth.square().sum()
        gradients.append(torch.autograd.grad(loss + result.opacity.exp().sum(), samples))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_order_of_samples_changes_nothing() -> None:
    t, rgb, alpha = some_samples()
    order = torch.randperm(5, generator=torch.Generator().manual_seed(2))
    straight = composite(t, rgb, alpha, far=FAR)
    shuffled = composite(t[:, order], rgb[:, order], alpha[:, order], far=FAR)
    assert torch.equal(shuffled.weights, straight.weights[:, order])
    for ours, theirs in zip(shuffled[:3], straight[:3], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-14, atol=1e-14)


def test_an_opaque_plane_shows_its_own_colour_at_its_own_depth() -> None:
    rgb = torch.tensor([[0.2, 0.5, 0.9]])
    seen = composite(torch.tensor([[1.1]]), rgb[:, None], torch.ones(1, 1), far=FAR)
    assert torch.equal(seen.rgb, rgb)
    assert float(seen.depth) == pytest.approx(1.1)
    assert float(seen.opacity) == 1.0


def test_nothing_shines_through_an_opaque_sample() -> None:
    t, rgb, alpha = some_samples()
    nearest = t.argmin(-1, keepdim=True)
    seen = composite(t, rgb, alpha.scatter(-1, nearest, 1.0), far=FAR)
    colour_of_nearest = rgb.gather(1, nearest[..., None].expand(-1, -1, 3))[:, 0]
    torch.testing.assert_close(seen.rgb, colour_of_nearest, rtol=0, atol=5 * EPSILON)
    torch.testing.assert_close(seen.depth, t.gather(-1, nearest)[:, 0], rtol=0, atol=5 * EPSILON)


def test_a_sample_behind_an_opaque_one_keeps_the_published_trace_of_weight() -> None:
    alpha = torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    t = torch.tensor([[0.9, 1.0]], dtype=torch.float64)
    weights = composite(t, torch.zeros(1, 2, 3, dtype=torch.float64), alpha, far=FAR).weights
    torch.testing.assert_close(
        weights, torch.tensor([[1.0, 0.5e-10]], dtype=torch.float64), rtol=1e-6, atol=0
    )


@pytest.mark.parametrize(("white", "colour"), [(False, 0.0), (True, 1.0)])
def test_a_ray_that_meets_nothing_sees_the_background_at_finite_depth_and_gradient(
    white: bool, colour: float
) -> None:
    t, rgb, alpha = (s.float() for s in some_samples())
    density, hit = alpha.requires_grad_(), torch.zeros(6, 5, dtype=torch.bool)
    occupancy = occupancy_from_density(density, hit, torch.full((5,), 1e10))
    leaves = [t.requires_grad_(), rgb.requires_grad_(), density]
    seen = composite(t, rgb, occupancy, far=FAR, white_background=white)
    assert torch.equal(seen.rgb, torch.full((6, 3), colour))
    assert torch.equal(seen.depth, torch.full((6,), FAR))
    assert torch.equal(seen.opacity, torch.zeros(6))
    for gradient in torch.autograd.grad(seen.rgb.sum() + seen.depth.sum() + seen.opacity.sum(), leaves):
        assert torch.equal(gradient, torch.zeros_like(gradient))


def test_gradients_are_finite_at_every_extreme_of_density() -> None:
    density = torch.tensor([0.0, 1e-30, 1e-12, 1.0, 1e4, 1e30]).repeat(6, 1).requires_grad_()
    delta = torch.tensor([0.04, 1e10, 0.04, 0.04, 1e10, 0.04])
    hit = torch.ones(6, 6, dtype=torch.bool)
    t, rgb = torch.linspace(0.9, 1.1, 6).repeat(6, 1), torch.rand(6, 6, 3)
    alpha = occupancy_from_density(density, hit, delta)
    rolled = torch.stack([row.roll(i) for i, row in enumerate(alpha)])
    seen = composite(t, rgb, rolled, far=FAR)
    assert all(value.isfinite().all() for value in seen)
    (gradient,) = torch.autograd.grad(seen.rgb.sum() + seen.depth.sum(), density)
    assert gradient.isfinite().all()


def test_white_background_fills_what_is_left_of_the_light() -> None:
    samples = some_samples()
    black, white = composite(*samples, far=FAR), composite(*samples, far=FAR, white_background=True)
    torch.testing.assert_close(white.rgb - black.rgb, (1.0 - black.opacity)[:, None].expand(-1, 3))
    assert torch.equal(white.depth, black.depth)


def test_weights_are_a_partition_of_at_most_the_whole() -> None:
    t, rgb, alpha = some_samples(rays=200)
    seen = composite(t, rgb, alpha, far=FAR)
    assert (seen.weights >= 0).all()
    torch.testing.assert_close(seen.opacity, 1.0 - (1.0 - alpha).prod(-1), rtol=0, atol=1e-8)
    visible = seen.opacity > 0
    lowest = torch.where(alpha > 0, t, math.inf).min(-1).values
    highest = torch.where(alpha > 0, t, -math.inf).max(-1).values
    assert ((seen.depth >= lowest - 1e-12) & (seen.depth <= highest + 1e-12))[visible].all()


def test_occupancy_is_one_minus_the_exponential_where_the_ray_hits() -> None:
    density = torch.tensor([[0.5, 2.0, 3.0]], dtype=torch.float64)
    hit, delta = torch.tensor([[True, False, True]]), torch.tensor([0.04, 0.04, 1e10], dtype=torch.float64)
    expected = torch.tensor([[-math.expm1(-0.02), 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(occupancy_from_density(density, hit, delta), expected, rtol=1e-15, atol=0)


def test_a_faint_surface_keeps_its_occupancy_in_float32() -> None:
    faint = occupancy_from_density(torch.full((1, 1), 1e-6), torch.ones(1, 1).bool(), torch.tensor([0.04]))
    assert float(faint) == pytest.approx(4e-8, rel=1e-6)  # 1 - exp(-x) would be 0


def test_the_median_depth_is_that_of_the_sample_that_passes_half_of_the_light() -> None:
    t = torch.tensor([[1.0, 0.9, 1.1], [1.0, 0.9, 1.1], [1.0, 0.9, 1.1], [1.0, 0.9, 1.1]])
    weights = torch.tensor([[0.3, 0.2, 0.4], [0.1, 0.6, 0.3], [0.1, 0.2, 0.7], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(median_depth(t, weights, far=FAR), torch.tensor([1.0, 0.9, 1.1, FAR]))


def test_behind_half_an_edge_the_median_is_a_surface_and_the_mean_is_between_two() -> None:
    t, rgb, alpha = torch.tensor([[0.9, 1.1]]), torch.ones(1, 2, 3), torch.tensor([[0.6, 1.0]])
    seen = composite(t, rgb, alpha, far=FAR)
    assert float(seen.depth) == pytest.approx(0.98)
    assert float(median_depth(seen.t, seen.weights, far=FAR)) == pytest.approx(0.9)
