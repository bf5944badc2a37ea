"""Check of Triton's kernels: small networks with them, and without.

Kernels are compiled where they run, for a combination of GPU, driver and Triton version that may be untested.
A failure there costs a run its speed only: it goes on without kernels.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.networks.layers import Film
from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.ops.backend import LEAN, TRITON, Backend, use_backend
from gram.rendering.isosurfaces import intersect

SIZE = 23
"""Pixels along one side of the image whose rays are used; its square fills no blocks of a kernel."""
POINTS = 5
"""Points of the radiance field on each ray."""
LEVELS = (24.0, 23.0, 22.0, 21.0, 40.0)
"""Levels of isosurfaces: every ray crosses all but the last, no ray the last, so rounding decides no hit."""


class Difference(NamedTuple):
    """Largest relative difference of a network's outputs and gradients with kernels from those without."""

    network: str
    largest: float
    limit: float

    def __str__(self) -> str:
        return f"{self.network} {self.largest:.1e}"


class KernelCheck(NamedTuple):
    """Differences, and the reason not to use kernels; None if they can be used."""

    differences: list[Difference]
    failure: str | None

    def __str__(self) -> str:
        return self.failure or f"as plain torch, to {', '.join(map(str, self.differences))}"


def check_kernels(device: torch.device, *, width: int = 64, manifold_width: int = 32) -> KernelCheck:
    """Compare Phi, in half precision, and M, with its intersections, on one small image.

    Args:
        device: device with kernels.
        width: units of a layer of Phi; the default compiles fastest.
        manifold_width: units of a layer of M, likewise.

    Raises:
        RuntimeError: kernels have left the device unusable for this process.
    """
    try:
        found = _differences(device, width, manifold_width)
    except Exception as error:  # of Triton, its compiler, the driver or the device
        _require_usable(device, error)
        first_line = str(error).strip().partition("\n")[0]
        return KernelCheck([], f"{type(error).__name__}: {first_line}")
    wrong = ", ".join(str(d) for d in found if not d.largest <= d.limit)  # NaN included
    return KernelCheck(found, f"results differ from those without: {wrong}" if wrong else None)


def _require_usable(device: torch.device, error: Exception) -> None:
    try:
        torch.zeros(1, device=device).item()
    except RuntimeError:
        raise RuntimeError(
            f"Triton's kernels left {device} unusable ({type(error).__name__}: {error}): "
            "start again without them, train.kernels=false"
        ) from error


def _differences(device: torch.device, width: int, manifold_width: int) -> list[Difference]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        radiance = RadianceField(width=width, layers=3)
        film = Film(*torch.randn(2, 1, radiance.film_layers, width))
        manifold = ManifoldPredictor(width=manifold_width, init="sphere")
        for parameter in manifold.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    rays = pixel_rays(look_at_origin(torch.tensor([[1.5, 1.7]])), size=SIZE, fov=math.radians(12))
    rays = rays.map(lambda part: part.to(device))
    film = film.map(lambda part: part.to(device))
    return [
        Difference("radiance field", _difference(_radiance(radiance.to(device), film, rays)), 1e-2),
        Difference("manifold predictor", _difference(_manifold(manifold.to(device), rays)), 1e-3),
    ]


Results = Callable[[Backend], list[Tensor]]
"""Outputs and gradients, computed with a backend."""


def _radiance(radiance: RadianceField, film: Film, rays: Rays) -> Results:
    t = torch.linspace(0.88, 1.12, POINTS, device=rays.origins.device)
    points = rays.at(t.expand(*rays.origins.shape[:-1], POINTS)).view(1, -1, 3).requires_grad_()
    directions = rays.directions[..., None, :].expand(-1, -1, POINTS, -1).reshape(1, -1, 3)
    hit = points[..., 1] < 0.05  # without the upper rows of pixels: whole blocks of points are skipped
    radiance.matmul_dtype = torch.float16

    def results(backend: Backend) -> list[Tensor]:
        use_backend(radiance, backend)
        rgb, density = radiance(points, directions, film, hit)
        return _with_gradients([rgb[hit], density[hit]], [points, *radiance.parameters()])

    return results


def _manifold(manifold: ManifoldPredictor, rays: Rays) -> Results:
    levels = torch.tensor(LEVELS, device=rays.origins.device)
    points = rays.at(torch.ones_like(rays.origins[..., :1])).reshape(-1, 3).requires_grad_()

    def results(backend: Backend) -> list[Tensor]:
        use_backend(manifold, backend)
        hits = intersect(manifold, rays, levels, near=0.88, far=1.12, num_samples=16, backend=backend)
        crossings = torch.where(hits.hit, hits.t, 0.0)
        return _with_gradients([crossings, manifold(points)], [points, *manifold.parameters()])

    return results


def _with_gradients(outputs: list[Tensor], leaves: list[Tensor]) -> list[Tensor]:
    gradients = torch.autograd.grad([output.square().sum() for output in outputs], leaves)
    return [*(output.detach() for output in outputs), *gradients]


def _difference(results: Results) -> float:
    """Largest relative difference between kernels and plain torch; NaN if any result is."""
    ours, plain = results(TRITON), results(LEAN)
    norm = torch.linalg.vector_norm
    relative = [norm(mine - other) / norm(other) for mine, other in zip(ours, plain, strict=True)]
    return float(torch.stack(relative).amax())
