"""The radiance generator Phi: (latent, point, direction) -> colour and density (GRAM, section 3.3)."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from gram.layers import Film, FilmSine, sine_head

COLOR_MARGIN = 1e-3
"""Colours reach a little beyond [0, 1], so that pure black and white are not at infinity."""


class RadianceField(nn.Module):
    """FiLM-sine network with a density head and a colour head after every layer but the first.

    Args:
        width: of the sine layers.
        layers: number of sine layers that see the point only.
        view_dependent: add a sine layer that sees the viewing direction, for the last colour head.
        box: edge of the cube that is mapped to [-1, 1], world units.
        frequency_scale, frequency_offset: gamma = scale * gamma_hat + offset, radians.
    """

    def __init__(
        self, *, width: int = 256, layers: int = 8, view_dependent: bool = True, box: float = 0.24,
        frequency_scale: float = 15.0, frequency_offset: float = 30.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.box = box
        self.frequency_scale = frequency_scale
        self.frequency_offset = frequency_offset
        self.layers = nn.ModuleList(FilmSine(width if i else 3, width, first=i == 0) for i in range(layers))
        self.view_layer = FilmSine(3 + width, width) if view_dependent else None
        self.density_heads = nn.ModuleList(sine_head(width, 1) for _ in range(layers - 1))
        self.color_heads = nn.ModuleList(sine_head(width, 3) for _ in range(layers - 1))

    @property
    def film_layers(self) -> int:
        """Number of layers that a latent modulates."""
        return len(self.layers) + (self.view_layer is not None)

    def forward(
        self, points: Float[Tensor, "batch n 3"], directions: Float[Tensor, "batch n 3"], film: Film
    ) -> tuple[Float[Tensor, "batch n 3"], Float[Tensor, "batch n"]]:
        """Colours in [-0.001, 1.001] and densities >= 0 at world points seen along unit directions."""
        gamma = self.frequency_scale * film.frequencies + self.frequency_offset
        beta = film.phase_shifts
        x = points * (2.0 / self.box)
        color = density = 0.0
        for i, layer in enumerate(self.layers):
            weight, bias = layer.fold(gamma[:, i], beta[:, i])
            x = torch.sin(torch.baddbmm(bias[:, None], x, weight.mT))
            if i == 0:
                continue
            density = density + self.density_heads[i - 1](x)
            if i < len(self.layers) - 1:
                color = color + self.color_heads[i - 1](x)
        if self.view_layer is not None:
            weight, bias = self.view_layer.fold(gamma[:, -1], beta[:, -1])
            x = torch.sin(torch.baddbmm(bias[:, None], torch.cat([directions, x], -1), weight.mT))
        color = color + self.color_heads[-1](x)
        rgb = torch.sigmoid(color) * (1.0 + 2.0 * COLOR_MARGIN) - COLOR_MARGIN
        return rgb, softplus(density[..., 0])
