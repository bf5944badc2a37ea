"""Generated images, rendered and back-propagated in parts to bound memory.

Rays are independent. An image is therefore rendered without gradient, passed through D, and rendered again
patch by patch with gradient; each patch back-propagates its part of the derivative of the loss. Gradients
equal those of the whole image, with the activations of one patch.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.model.generator import Generator, as_image
from gram.networks.layers import Film
from gram.rendering.samplers import Noise
from gram.shapes import Float


class Fakes:
    """Batch of latents, poses and their images, rendered on demand: colours, and opacity of the foreground.

    Args:
        generator: generator that renders the images.
        z: latents.
        poses: (pitch, yaw), radians.
        size: image side in pixels.
        micro_batch: images whose activations are in memory at a time.
        patches: parts of an image that are back-propagated in turn; divides the number of its rays.
        noise: seeds of a stochastic sampler.
    """

    def __init__(
        self,
        generator: Generator,
        z: Float[Tensor, "batch z_dim"],
        poses: Float[Tensor, "batch 2"],
        *,
        size: int,
        micro_batch: int,
        patches: int,
        noise: Noise | None = None,
    ) -> None:
        self.z, self.poses, self._noise = z, poses, noise
        self._generator, self._size = generator, size
        self._micro_batch, self._patches = micro_batch, patches
        self._kept: Tensor | None = None

    def micro_batches(self) -> Iterator[slice]:
        """Rows of each micro-batch, in order."""
        for start in range(0, len(self.z), self._micro_batch):
            yield slice(start, min(start + self._micro_batch, len(self.z)))

    def render_detached(self, *, keep: bool) -> Float[Tensor, "batch 4 size size"]:
        """Render all images, detached.

        Args:
            keep: keep them for a later `backward`, with their graph if all fits in memory.
        """
        if keep and self._fits():
            images = self._render(slice(None))
        else:
            with torch.no_grad():
                parts = [self._whole(rows) for rows in self.micro_batches()]
            images = torch.cat(parts) if len(parts) > 1 else parts[0]
        self._kept = images if keep else None
        return images.detach()

    def render(self, rows: slice) -> Float[Tensor, "rows 4 size size"]:
        """Images of a micro-batch, for `backward`."""
        if self._kept is not None:
            return self._kept if self._fits() else self._kept[rows]
        if self._patches == 1:
            return self._render(rows)
        with torch.no_grad():
            return self._whole(rows)

    def backward(self, rows: slice, images: Tensor, gradient: Tensor) -> None:
        """Accumulate gradients of the generator, given the result of `render` and the gradient by it."""
        if images.requires_grad:
            images.backward(gradient)
            return
        # patches stop at the FiLM parameters; the mapping network is back-propagated once
        film = self._generator.mapping(self.z[rows])
        leaves = film.map(lambda part: part.detach().requires_grad_())
        by_ray = gradient.flatten(2).mT  # (batch, rays, 4)
        for pixels, patch in self._rendered_patches(leaves, rows):
            pixels.backward(by_ray[:, patch])
        torch.autograd.backward(list(film), [leaf.grad for leaf in leaves])

    def _fits(self) -> bool:
        return self._patches == 1 and self._micro_batch >= len(self.z)

    def _render(self, rows: slice) -> Tensor:
        noise = self._noise and self._noise.of(rows)
        return self._generator.draw(self.z[rows], self.poses[rows], size=self._size, noise=noise)

    def _whole(self, rows: slice) -> Tensor:
        """Images of a micro-batch, rendered in patches."""
        if self._patches == 1:
            return self._render(rows)
        film = self._generator.mapping(self.z[rows])
        return as_image(torch.cat([pixels for pixels, _ in self._rendered_patches(film, rows)], dim=1))

    def _rendered_patches(self, film: Film, rows: slice) -> Iterator[tuple[Tensor, slice]]:
        """Render every patch: pixels (batch, rays, 4), and the indices of their rays."""
        rays = pixel_rays(look_at_origin(self.poses[rows]), size=self._size, fov=self._generator.fov)
        count = self._size**2 // self._patches
        for start in range(0, self._size**2, count):
            patch = slice(start, start + count)
            patch_rays = Rays(rays.origins[:, patch], rays.directions[:, patch])
            noise = self._noise and self._noise.of(rows, start)
            yield self._generator.pixels(film, patch_rays, noise), patch
