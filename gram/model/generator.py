"""Generator: latents and camera poses to images and depth (GRAM, figure 2)."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.geometry.poses import PosePrior, require_poses, warn_outside
from gram.networks.layers import Film, MappingNetwork
from gram.networks.radiance import RadianceField
from gram.rendering.compositing import Composite, median_depth
from gram.rendering.render_rays import Radiance, shade
from gram.rendering.samplers import Noise, Sampler, Samples
from gram.shapes import Float

MEAN_FILM_LATENTS = 10_000
"""Number of latents in the mean FiLM parameters."""


class RenderedImages(NamedTuple):
    """Images of a batch, with depth and opacity."""

    image: Float[Tensor, "batch 3 size size"]  # in [-1.002, 1.002]
    depth: Float[Tensor, "batch size size"]  # mean distance along the ray, by weight
    opacity: Float[Tensor, "batch size size"]
    median_depth: Float[Tensor, "batch size size"]  # distance at which half of the weight is reached


class Generator(nn.Module):
    """Mapping network, radiance field and sampler.

    Args:
        radiance: radiance field Phi.
        sampler: sampler of the points at which Phi is evaluated.
        fov: angle between the outermost pixel centres of an image, radians.
        z_dim: dimension of the latents, z ~ N(0, I).
        mapping_width: units of a hidden layer of the mapping network.
        mapping_layers: number of those layers.
    """

    prior: PosePrior | None = None
    """Prior of the training poses; if set, `render` warns of poses outside of it."""
    mean_frequencies: Tensor
    mean_phase_shifts: Tensor

    def __init__(
        self,
        *,
        radiance: RadianceField,
        sampler: Sampler,
        fov: float,
        z_dim: int = 256,
        mapping_width: int = 256,
        mapping_layers: int = 3,
    ) -> None:
        super().__init__()
        if not 0.0 < fov < math.pi:
            raise ValueError(f"fov = {fov}: an angle between 0 and pi radians is needed")
        self.z_dim = z_dim
        self.fov = fov
        self.radiance = radiance
        self.sampler = sampler
        self.mapping = MappingNetwork(
            z_dim=z_dim, width=mapping_width, hidden_layers=mapping_layers,
            film_layers=radiance.film_layers, film_width=radiance.width,
        )  # fmt: skip
        self.register_buffer("mean_frequencies", torch.zeros(radiance.film_layers, radiance.width))
        self.register_buffer("mean_phase_shifts", torch.zeros(radiance.film_layers, radiance.width))

    def forward(
        self,
        z: Float[Tensor, "batch z_dim"],
        poses: Float[Tensor, "batch 2"],
        *,
        size: int,
        noise: Noise | None = None,
    ) -> Float[Tensor, "batch 3 size size"]:
        """Render images of `size` x `size` pixels in [-1.002, 1.002], with gradient.

        Args:
            z: latents.
            poses: (pitch, yaw) of the cameras, radians.
            size: side of the images, pixels.
            noise: seeds of a stochastic sampler.
        """
        return self.draw(z, poses, size=size, noise=noise)[:, :3]

    def draw(
        self,
        z: Float[Tensor, "batch z_dim"],
        poses: Float[Tensor, "batch 2"],
        *,
        size: int,
        noise: Noise | None = None,
    ) -> Float[Tensor, "batch 4 size size"]:
        """Render images, with the opacity in front of the background as a fourth channel."""
        rays = pixel_rays(look_at_origin(poses), size=size, fov=self.fov)
        return as_image(self.pixels(self.mapping(z), rays, noise))

    def pixels(self, film: Film, rays: Rays, noise: Noise | None = None) -> Float[Tensor, "batch n 4"]:
        """Render rays (batch, n): colours in [-1.002, 1.002], and opacity in front of the background."""
        result = self.shade(film, rays, noise)
        front = result.weights.masked_fill(self.sampler.background(result.t), 0.0).sum(-1, keepdim=True)
        return torch.cat([result.rgb * 2.0 - 1.0, front], -1)

    def shade(self, film: Film, rays: Rays, noise: Noise | None = None) -> Composite:
        """Composite rays (batch, n) of the radiance fields of their latents; rgb in [0, 1]."""
        return shade(self.sampler, self._field(film), rays, noise)

    def _field(self, film: Film) -> Radiance:
        """Radiance field of given latents."""
        return lambda points, directions, hit: self.radiance(points, directions, film, hit)

    @torch.no_grad()
    def render(
        self,
        z: Float[Tensor, "batch z_dim"],
        poses: Float[Tensor, "batch 2"],
        *,
        size: int,
        psi: float = 1.0,
        noise: Noise | None = None,
        background: bool = True,
        max_rays: int = 16_384,
    ) -> RenderedImages:
        """Render images, depth and opacity without gradient, at most `max_rays` rays at once.

        Args:
            z: latents.
            poses: (pitch, yaw) of the cameras, radians.
            size: side of the images, pixels.
            psi: truncation; 1 is none, 0 the mean image.
            noise: seeds of a stochastic sampler; without them every ray is sampled alike.
            background: render the background, see `gram.rendering.render_rays.shade`.
            max_rays: bound of the memory, without effect on the result.

        Example:
            >>> from gram import load_model
            >>> generator = load_model("heads64").generator
            >>> z, front = torch.zeros(1, generator.z_dim), torch.full((1, 2), math.pi / 2)
            >>> rendered = generator.render(z, front, size=16)
            >>> rendered.image.shape, rendered.depth.shape
            (torch.Size([1, 3, 16, 16]), torch.Size([1, 16, 16]))
        """
        require_poses(poses, len(z))
        if self.prior is not None:
            warn_outside(poses, self.prior)
        # FiLM parameters and rays of the whole batch
        parts: list[tuple[Tensor, ...]] = []  # in the order of `RenderedImages`
        film = self.truncated_film(z, psi)
        rays = pixel_rays(look_at_origin(poses), size=size, fov=self.fov)
        noise = noise if self.sampler.stochastic else None
        # chunks of rays; consecutive images of one camera share their samples, by the first ray of a chunk
        samples: dict[int, Samples] = {}
        for i in range(len(z)):
            image = slice(i, i + 1)
            field = self._field(film.rows(image))
            moved = i == 0 or noise is not None or not torch.equal(poses[i], poses[i - 1])
            for first in range(0, size * size, max_rays):
                some = rays.rows(image, slice(first, first + max_rays))
                own = None if noise is None else noise.of(image, first)
                if moved:
                    samples[first] = self.sampler.sample(some, own)
                result = shade(self.sampler, field, some, own, samples=samples[first], background=background)
                parts.append((*result[:3], median_depth(result.t, result.weights, far=self.sampler.far)))
        rgb, *others = (torch.cat(part, 1).view(len(z), size * size, -1) for part in zip(*parts, strict=True))
        square = (len(z), size, size)
        return RenderedImages(as_image(rgb * 2.0 - 1.0), *(other.view(square) for other in others))

    @torch.no_grad()
    def occupancy(
        self, z: Float[Tensor, " z_dim"], points: Float[Tensor, "n 3"], *, psi: float = 1.0
    ) -> Float[Tensor, " n"]:
        """Occupancy alpha in [0, 1] at world points, each as a sample of typical length.

        In front of the outermost surface, if there are surfaces, the radiance field is untrained: alpha fades
        to 0 within the distance of two surfaces.
        """
        _, density = self._at_points(z, points, torch.zeros_like(points), psi)
        alpha = -torch.expm1(-self.sampler.typical_delta * density)
        return alpha * self.sampler.inside(points)

    @torch.no_grad()
    def color(
        self,
        z: Float[Tensor, " z_dim"],
        points: Float[Tensor, "n 3"],
        directions: Float[Tensor, "n 3"],
        *,
        psi: float = 1.0,
    ) -> Float[Tensor, "n 3"]:
        """Evaluate RGB in [0, 1] at world points, along unit view directions."""
        rgb, _ = self._at_points(z, points, directions, psi)
        return rgb.clamp(0.0, 1.0)

    def _at_points(
        self, z: Tensor, points: Tensor, directions: Tensor, psi: float
    ) -> tuple[Float[Tensor, "n 3"], Float[Tensor, " n"]]:
        rgb, density = self.radiance(points[None], directions[None], self.truncated_film(z[None], psi))
        return rgb[0], density[0]

    @torch.no_grad()
    def update_mean_film(self, *, generator: torch.Generator | None = None) -> None:
        """Set the mean FiLM parameters, the centre of truncation."""
        device = self.mean_frequencies.device
        z = torch.randn(MEAN_FILM_LATENTS, self.z_dim, generator=generator).to(device)
        film = self.mapping(z)
        self.mean_frequencies.copy_(film.frequencies.mean(0))
        self.mean_phase_shifts.copy_(film.phase_shifts.mean(0))

    def truncated_film(self, z: Float[Tensor, "batch z_dim"], psi: float) -> Film:
        """FiLM parameters truncated towards their mean: lerp(mean, value, psi)."""
        film = self.mapping(z)
        if psi == 1.0:
            return film
        return Film(self.mean_frequencies.expand_as(film.frequencies),
                    self.mean_phase_shifts.expand_as(film.phase_shifts)).lerp(film, psi)  # fmt: skip


def as_image(pixels: Float[Tensor, "batch n channels"]) -> Float[Tensor, "batch channels size size"]:
    """Reshape rays, row by row, to square images."""
    size = math.isqrt(pixels.shape[1])
    return pixels.mT.reshape(len(pixels), -1, size, size)


def quantised(images: Tensor) -> Tensor:
    """Quantise images in [-1, 1] to uint8, rounded and clipped."""
    return ((images.detach().float() + 1.0) * 127.5).round().clamp(0.0, 255.0).to(torch.uint8)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """Convert images (batch, 3, h, w) in [-1, 1] to uint8 (batch, h, w, 3)."""
    return quantised(images).permute(0, 2, 3, 1).cpu().numpy()
