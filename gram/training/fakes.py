"""A batch of generated images, rendered and back-propagated in parts that fit the memory.

Rays do not depend on each other. An image may therefore be rendered without gradient, judged, and rendered
again patch by patch with gradient, each patch back-propagating its part of the loss's derivative at once:
the same gradients as those of the whole image, with the activations of one patch.
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
    """Latents, poses, and their images once somebody looks: colours, and opacity in front of the background.

    Args:
        generator: that draws them.
        z: latents.
        poses: (pitch, yaw), radians.
        size: pixels along one side.
        micro_batch: images whose activations are kept together.
        patches: parts of an image that are back-propagated in turn; divides the number of its rays.
        noise: of a stochastic sampler.
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
        self._shown: Tensor | None = None

    def micro_batches(self) -> Iterator[slice]:
        """Rows of the batch, in order."""
        for start in range(0, len(self.z), self._micro_batch):
            yield slice(start, min(start + self._micro_batch, len(self.z)))

    def show(self, *, again: bool) -> Float[Tensor, "batch 4 size size"]:
        """All images, detached.

        Args:
            again: they will be back-propagated later: keep them, with their graph where all fits at once.
        """
        if again and self._fits():
            images = self._render(slice(None))
        else:
            with torch.no_grad():
                parts = [self._whole(rows) for rows in self.micro_batches()]
            images = torch.cat(parts) if len(parts) > 1 else parts[0]
        self._shown = images if again else None
        return images.detach()

    def render(self, rows: slice) -> Float[Tensor, "rows 4 size size"]:
        """Images of a micro-batch, for `backward`."""
        if self._shown is not None:
            return self._shown if self._fits() else self._shown[rows]
        if self._patches == 1:
            return self._render(rows)
        with torch.no_grad():
            return self._whole(rows)

    def backward(self, rows: slice, images: Tensor, gradient: Tensor) -> None:
        """Add to the generator's gradients, given what `render` returned and the loss's derivative by it."""
        if images.requires_grad:
            images.backward(gradient)
            return
        film = self._generator.mapping(self.z[rows])
        leaves = film.map(lambda part: part.detach().requires_grad_())
        by_ray = gradient.flatten(2).mT
        for pixels, patch in self._rendered_patches(leaves, rows):
            pixels.backward(by_ray[:, patch])
        torch.autograd.backward(list(film), [leaf.grad for leaf in leaves])

    def _fits(self) -> bool:
        return self._patches == 1 and self._micro_batch >= len(self.z)

    def _render(self, rows: slice) -> Tensor:
        noise = self._noise and self._noise.of(rows)
        return self._generator.draw(self.z[rows], self.poses[rows], size=self._size, noise=noise)

    def _whole(self, rows: slice) -> Tensor:
        """Images of a micro-batch, in patches."""
        if self._patches == 1:
            return self._render(rows)
        film = self._generator.mapping(self.z[rows])
        return as_image(torch.cat([pixels for pixels, _ in self._rendered_patches(film, rows)], dim=1))

    def _rendered_patches(self, film: Film, rows: slice) -> Iterator[tuple[Tensor, slice]]:
        """Pixels (batch, rays, 4) of every patch, and which rays they belong to."""
        rays = pixel_rays(look_at_origin(self.poses[rows]), size=self._size, fov=self._generator.fov)
        count = self._size**2 // self._patches
        for start in range(0, self._size**2, count):
            patch = slice(start, start + count)
            some = Rays(rays.origins[:, patch], rays.directions[:, patch])
            noise = self._noise and self._noise.of(rows, start)
            yield self._generator.pixels(film, some, noise), patch
