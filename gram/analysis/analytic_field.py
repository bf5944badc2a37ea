"""Analytic radiance field of a head's size, whose images are known exactly, as ground truth for samplers.

A soft ellipsoid with semi-axes a, rho(x) = |x / a|, in front of an opaque wall at z = -0.12:

    sigma(x) = S (1 - rho^2)^2 inside of rho = 1, and a haze of 1e-6 everywhere,

which is smooth, absorbs 63 % of the light within a hundredth of a unit, and has an optical depth along rays
that is a polynomial of degree 5. Colours are a gyroid in the ellipsoid's volume, and waves on the wall. Empty
space has the colour of the wall behind it, so that a ray that ends there shows the wall.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gram.geometry.cameras import Rays
from gram.networks.manifold import SCALE, ManifoldPredictor
from gram.shapes import Bool, Float

SEMI_AXES = (0.075, 0.095, 0.085)
DENSITY = 5400.0
HAZE = 1e-6
"""Density of empty space: opaque over an interval of 1e10, negligible over that of a ray."""
WALL_Z = -0.12
GRAIN = 125.0
"""Frequency of the gyroid, radians per unit of length: its stripes are 0.025 wide."""
LIGHT, DARK = (0.93, 0.72, 0.58), (0.22, 0.20, 0.42)
SHELL_WIDTH = 256
NODES = 128


class AnalyticField(nn.Module):
    """Colours and densities of points; a `gram.rendering.render_rays.Radiance`."""

    semi_axes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("semi_axes", torch.tensor(SEMI_AXES, dtype=torch.float64), persistent=False)

    def forward(
        self,
        points: Float[Tensor, "batch n 3"],
        directions: Float[Tensor, "batch n 3"],
        hit: Bool[Tensor, "batch n"] | None = None,
    ) -> tuple[Float[Tensor, "batch n 3"], Float[Tensor, "batch n"]]:
        """Evaluate colours in [0, 1] and densities > 0 at world points viewed along unit directions."""
        inside = DENSITY * (1.0 - self.rho(points).square()).clamp_min(0.0).square()
        share = (inside / (inside + HAZE))[..., None]
        return torch.lerp(wall(points, directions), gyroid(points), share), inside + HAZE

    def rho(self, points: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape"]:
        """Distance from the centre in semi-axes: 1 on the surface."""
        return (points / self.semi_axes.to(points)).norm(dim=-1)

    def optical_depth(
        self, rays: Rays, t: Float[Tensor, "*rays n"] | None = None
    ) -> Float[Tensor, "*rays n"]:
        """Integral of the density from -infinity to t, or along the whole ray; without the haze."""
        # limits, relative to the middle of the chord
        chord = _chord(self, rays)
        s = chord.half[..., None] if t is None else t - chord.middle[..., None]
        s = s.clamp(-chord.half[..., None], chord.half[..., None])
        # antiderivative of (m - a s^2)^2
        m, a = chord.margin[..., None], chord.curvature[..., None]
        up_to = m.square() * s - 2.0 / 3.0 * m * a * s**3 + a.square() * s**5 / 5.0
        return DENSITY * (up_to + 8.0 / 15.0 * m.square() * chord.half[..., None])

    def integral(self, rays: Rays, *, nodes: int = NODES) -> Float[Tensor, "*rays 3"]:
        """Volume-rendering integral, rgb in [0, 1], by Gauss-Legendre quadrature to 1e-8, in float64."""
        rays = rays.map(torch.Tensor.double)
        chord = _chord(self, rays)
        # nodes along the chord
        x, w = (torch.from_numpy(part).to(rays.origins) for part in np.polynomial.legendre.leggauss(nodes))
        t = chord.middle[..., None] + chord.half[..., None] * x
        points = rays.at(t)
        # weights: density times transmittance
        density = DENSITY * (1.0 - self.rho(points).square()).clamp_min(0.0).square()
        weights = chord.half[..., None] * w * density * torch.exp(-self.optical_depth(rays, t))
        through = torch.exp(-self.optical_depth(rays))
        return (weights[..., None] * gyroid(points)).sum(-2) + through * wall(rays.origins, rays.directions)


class _Chord(NamedTuple):
    """Chord of a ray in the ellipsoid: rho^2 = 1 - margin + curvature s^2 at distance s from its middle."""

    middle: Tensor
    half: Tensor
    margin: Tensor
    curvature: Tensor


def _chord(field: AnalyticField, rays: Rays) -> _Chord:
    origin, direction = (part / field.semi_axes.to(part) for part in rays)
    curvature = direction.square().sum(-1)
    middle = -(origin * direction).sum(-1) / curvature
    nearest = origin + middle[..., None] * direction
    margin = (1.0 - nearest.square().sum(-1)).clamp_min(0.0)
    return _Chord(middle, (margin / curvature).sqrt(), margin, curvature)


def gyroid(points: Float[Tensor, "*shape 3"]) -> Float[Tensor, "*shape 3"]:
    """Colours of the ellipsoid, defined everywhere."""
    x, y, z = (GRAIN * points).unbind(-1)
    wave = x.sin() * y.cos() + y.sin() * z.cos() + z.sin() * x.cos()  # in [-1.5, 1.5]
    share = (0.5 + wave / 3.0)[..., None]
    lit = 0.75 + (points @ points.new_tensor([-1.2, 1.2, 1.2])).clamp(-0.25, 0.25)[..., None]
    return lit * torch.lerp(points.new_tensor(DARK), points.new_tensor(LIGHT), share)


def wall(
    points: Float[Tensor, "*shape 3"], directions: Float[Tensor, "*shape 3"]
) -> Float[Tensor, "*shape 3"]:
    """Colours of the wall where rays through points hit it; rays away from it are bent towards it."""
    slope = directions[..., :2] / directions[..., 2:].clamp_max(-1e-2)
    x, y = (points[..., :2] + slope * (WALL_Z - points[..., 2:])).unbind(-1)
    waves = torch.stack([25.0 * x + 10.0 * y, 25.0 * x + 10.0 * y + 0.7, 20.0 * y + 1.5], -1)
    return points.new_tensor([0.50, 0.62, 0.60]) + 0.12 * waves.sin()


def shells() -> ManifoldPredictor:
    """Build a manifold predictor M = 10 rho (to 1 %), whose surfaces follow the ellipsoid."""
    manifold = ManifoldPredictor(width=SHELL_WIDTH, hidden_layers=1, centre=(0.0, 0.0, 0.0), init="sphere")
    with torch.no_grad():
        next(manifold.hidden.parameters()).div_(SCALE * torch.tensor(SEMI_AXES))
    return manifold.requires_grad_(False)
