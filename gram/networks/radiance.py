"""Radiance generator Phi: (latent, point, direction) -> colour and density (GRAM, section 3.3)."""

from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import softplus

from gram.networks.layers import Film, FilmSine, Stack, sine_head
from gram.ops.backend import BackendModule
from gram.ops.mlp import evaluate
from gram.ops.reference import Layer
from gram.shapes import Bool, Float

COLOR_MARGIN = 1e-3
"""Reach of colours beyond [0, 1], so that black and white have finite logits."""


class RadianceField(BackendModule):
    """FiLM-sine network with a density head and a colour head after every layer but the first.

    Args:
        width: units of a sine layer.
        layers: number of sine layers that see the point only.
        view_dependent: add a sine layer that sees the viewing direction, for the last colour head.
        box: edge of the cube that is mapped to [-1, 1], world units.
        frequency_scale, frequency_offset: gamma = scale * gamma_hat + offset, radians.
        recompute: trade time for memory in the backward pass, see `gram.ops.mlp`.

    Raises:
        ValueError: fewer than two layers.
    """

    def __init__(
        self,
        *,
        width: int = 256,
        layers: int = 8,
        view_dependent: bool = True,
        box: float = 0.24,
        frequency_scale: float = 15.0,
        frequency_offset: float = 30.0,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if layers < 2:
            raise ValueError(f"layers = {layers}: the heads read every layer but the first, so 2 are needed")
        self.width = width
        self.box = box
        self.frequency_scale = frequency_scale
        self.frequency_offset = frequency_offset
        self.recompute = recompute
        self.matmul_dtype: torch.dtype | None = None
        self.layers = Stack(FilmSine(width if i else 3, width, first=i == 0) for i in range(layers))
        self.view_layer = FilmSine(3 + width, width) if view_dependent else None
        self.density_heads = Stack(sine_head(width, 1) for _ in range(layers - 1))
        self.color_heads = Stack(sine_head(width, 3) for _ in range(layers - 1))

    @property
    def film_layers(self) -> int:
        """Number of layers that a latent modulates."""
        return len(self.layers) + (self.view_layer is not None)

    def forward(
        self,
        points: Float[Tensor, "batch n 3"],
        directions: Float[Tensor, "batch n 3"],
        film: Film,
        hit: Bool[Tensor, "batch n"] | None = None,
    ) -> tuple[Float[Tensor, "batch n 3"], Float[Tensor, "batch n"]]:
        """Evaluate colours in [-0.001, 1.001] and densities >= 0 at world points, along unit directions.

        Where `hit` is given and false, results are undefined and cost less.
        """
        # (batch, n, 4): density, red, green, blue before their activations
        raw = evaluate(
            points * (2.0 / self.box),
            self._folded(film),
            "sine",
            directions=directions,
            recompute=self.recompute,
            half=self.matmul_dtype,
            hit=hit,
            backend=self.backend,
        )
        raw = raw + self._head_bias()
        rgb = torch.sigmoid(raw[..., 1:]) * (1.0 + 2.0 * COLOR_MARGIN) - COLOR_MARGIN
        return rgb, softplus(raw[..., 0])

    def _folded(self, film: Film) -> list[Layer]:
        """Fold each latent's modulation into the weights; head rows are (density, red, green, blue)."""
        # heads of all layers but the first
        gamma = self.frequency_scale * film.frequencies + self.frequency_offset
        density = [head.weight for head in self.density_heads]
        color = [head.weight for head in self.color_heads]
        if self.view_layer is not None:  # the last colour head reads it instead of the last layer
            density.append(torch.zeros_like(density[-1]))
            color.insert(-1, torch.zeros_like(color[-1]))
        heads = [None, *(torch.cat(rows) for rows in zip(density, color, strict=True))]
        layers = [*self.layers, self.view_layer] if self.view_layer is not None else list(self.layers)
        return [
            Layer(*layer.fold(gamma[:, i], film.phase_shifts[:, i]), heads[i], layer is self.view_layer)
            for i, layer in enumerate(layers)
        ]

    def _head_bias(self) -> Float[Tensor, "4"]:
        # added one by one: the gradients of a sum over a stack share memory, and clipping scales in place
        density = reduce(torch.add, (head.bias for head in self.density_heads))
        color = reduce(torch.add, (head.bias for head in self.color_heads))
        return torch.cat([density, color])
