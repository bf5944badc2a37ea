"""The manifold predictor is its formula and starts as spheres."""

import math

import pytest
import torch
from torch import Tensor

from gram.geometry.cameras import Rays
from gram.networks.manifold import SCALE, ManifoldPredictor


def some_points(count: int = 4000) -> Tensor:
    """Around the heads: the box of +-0.12 and a little more."""
    return 0.28 * (torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.5)


def deviation_from_spheres(manifold: ManifoldPredictor) -> Tensor:
    """(s - 10 |x_hat|) / (10 |x_hat|) at points of the box."""
    points = some_points()
    radius = (points * SCALE - manifold.centre).norm(dim=-1)
    return (manifold(points).detach() - 10.0 * radius) / (10.0 * radius)


def test_it_is_three_relu_layers_over_scaled_and_centred_points() -> None:
    torch.manual_seed(0)
    manifold = ManifoldPredictor(width=10, centre=(0.1, -0.2, -1.5)).double()
    for parameter in manifold.parameters():
        torch.nn.init.normal_(parameter)
    points = some_points(30).double().view(2, 3, 5, 3)
    x = points * (2.0 / 0.24) - torch.tensor([0.1, -0.2, -1.5])
    for linear in manifold.hidden:
        x = torch.relu(x @ linear.weight.mT + linear.bias)
    expected = (x @ manifold.output.weight.mT + manifold.output.bias)[..., 0]
    assert len(manifold.hidden) == 3
    torch.testing.assert_close(manifold(points), expected, rtol=1e-6, atol=1e-6)


def test_the_published_initialisation_has_its_statistics() -> None:
    torch.manual_seed(0)
    manifold = ManifoldPredictor(width=256, centre=(0.0, 0.0, -1.5))
    for linear in manifold.hidden:
        weight = linear.weight.detach()
        count = weight.numel()
        assert float(weight.std()) == pytest.approx(math.sqrt(2 / 256), rel=4 / math.sqrt(2 * count))
        assert abs(float(weight.mean())) < 4 * math.sqrt(2 / 256 / count)
        assert torch.equal(linear.bias, torch.zeros(256))
    expected = torch.full((1, 256), 10.0 * math.sqrt(math.pi / 256))
    torch.testing.assert_close(manifold.output.weight.detach(), expected)
    assert torch.equal(manifold.output.bias, torch.zeros(1))


def test_the_published_initialisation_is_nearly_spheres_when_wide() -> None:
    torch.manual_seed(0)
    wide = deviation_from_spheres(ManifoldPredictor(width=512))
    assert wide.abs().mean() < 0.15


@pytest.mark.parametrize(("width", "worst"), [(8, 0.30), (16, 0.12), (32, 0.05), (64, 0.02), (128, 0.01)])
@pytest.mark.parametrize("hidden_layers", [1, 3])
def test_the_sphere_initialisation_is_spheres_at_any_width(
    width: int, worst: float, hidden_layers: int
) -> None:
    manifold = ManifoldPredictor(width=width, hidden_layers=hidden_layers, init="sphere")
    deviation = deviation_from_spheres(manifold)
    assert deviation.abs().max() < worst
    assert deviation.mean().abs() < worst / 4


@pytest.mark.parametrize("width", [32, 64])
def test_the_sphere_initialisation_is_rounder_than_the_published_one(width: int) -> None:
    torch.manual_seed(0)
    published = deviation_from_spheres(ManifoldPredictor(width=width))
    sphere = deviation_from_spheres(ManifoldPredictor(width=width, init="sphere"))
    assert sphere.std() < published.std() / 4


def test_the_sphere_initialisation_needs_no_luck() -> None:
    first, second = (ManifoldPredictor(width=16, init="sphere").state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_field_vanishes_at_its_centre_and_falls_towards_it() -> None:
    manifold = ManifoldPredictor(width=32, init="sphere", centre=(0.0, 0.5, -1.5))
    centre = torch.tensor([0.0, 0.5, -1.5]) / SCALE
    assert manifold(centre).abs() < 1e-4
    direction = torch.nn.functional.normalize(some_points(50), dim=-1)
    radii = torch.linspace(0.3, 0.01, 20)
    values = manifold(centre + radii[:, None, None] * direction)
    assert (values.diff(dim=0) < 0).all()


def test_the_centre_is_kept_with_the_weights() -> None:
    other = ManifoldPredictor(width=8)
    other.load_state_dict(ManifoldPredictor(width=8, centre=(1.0, 2.0, 3.0)).state_dict())
    assert other.centre.tolist() == [1.0, 2.0, 3.0]


def test_values_along_rays_are_those_at_their_points() -> None:
    manifold = ManifoldPredictor(width=8)
    rays = Rays(some_points(6).view(2, 3, 3), some_points(12)[6:].view(2, 3, 3))
    t = torch.linspace(0.5, 1.5, 4)
    values = manifold.along(rays, t)
    assert not values.requires_grad
    assert torch.equal(values, manifold(rays.at(t.expand(2, 3, 4))))


def test_known_values_get_the_gradient_that_evaluation_gives() -> None:
    manifold = ManifoldPredictor(width=8).double()
    points = some_points(20).double().view(4, 5, 3)
    values = manifold(points)
    known = manifold.with_gradient(points, values.detach())
    assert torch.equal(known, values)
    probe = torch.linspace(-1.0, 1.0, 20, dtype=torch.float64).view(4, 5)
    for ours, theirs in zip(*(torch.autograd.grad((v * probe).sum(), list(manifold.parameters()))
                              for v in (known, values)), strict=True):  # fmt: skip
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
