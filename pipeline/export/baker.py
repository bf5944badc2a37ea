"""Baker of layered representations: isosurfaces of a model with the textures of a latent."""

import math
from functools import cached_property
from pathlib import Path

import torch

from gram.extraction.baking import BakedManifolds, bake
from gram.extraction.cameras import prior
from gram.extraction.charts import Charts
from gram.meshing import draw_layers, read_layers
from gram.model.generator import Generator
from gram.rendering.samplers import SAMPLERS
from gram.shapes import Float
from pipeline.config.schema import ExportConfig

RESOLUTION = 128
"""Default side length of textures, pixels."""
CAMERAS = 64
"""Number of cameras that determine the extent of the surfaces."""
COMPARED, COMPARED_SIZE = 8, 128
"""Number of images compared between file and model, and their side length in pixels."""


class LayerBaker:
    """Bakes layered representations, of `resolution` pixels a side, of the latents of a generator.

    All share the same charts, as the surfaces do not depend on the latent.
    """

    def __init__(self, generator: Generator, settings: ExportConfig, *, resolution: int) -> None:
        self._generator, self._settings = generator, settings
        self.resolution = resolution
        rng = torch.Generator().manual_seed(0)
        cameras = prior(generator, settings.yaw)
        self.poses = cameras.sample(CAMERAS, generator=rng)
        self.compared = cameras.sample(COMPARED, generator=rng)
        self.protocol = (
            f"decibels, {COMPARED} images of {COMPARED_SIZE} x {COMPARED_SIZE} pixels from {cameras}, "
            "the file rendered in order against the model's images, range of colours 1"
        )

    def bake(self, z: Float[torch.Tensor, " z_dim"]) -> BakedManifolds:
        """Bake the layered representation of a latent."""
        return bake(
            self._generator, z, self.poses.to(z.device),
            resolution=self.resolution, psi=self._settings.psi, charts=self._charts,
        )  # fmt: skip

    def psnr(self, path: Path, z: Float[torch.Tensor, " z_dim"]) -> float:
        """PSNR of a file's images against the model's images of the latent, decibels."""
        generator, poses = self._generator, self.compared
        layered = draw_layers(read_layers(path), poses, size=COMPARED_SIZE, fov=generator.fov)
        rendered = generator.render(
            z.expand(len(poses), -1), poses.to(z.device), size=COMPARED_SIZE, psi=self._settings.psi
        )
        error = float(((rendered.image.cpu() - layered) / 2.0).square().mean())
        return -10.0 * math.log10(max(error, 1e-10))

    @cached_property
    def _charts(self) -> Charts:
        z = torch.zeros(self._generator.z_dim, device=next(self._generator.parameters()).device)
        poses = self.poses.to(z.device)
        return bake(self._generator, z, poses, resolution=self.resolution).charts


def layer_baker(generator: Generator, settings: ExportConfig) -> LayerBaker | None:
    """Baker for a model; None if export.layers is 0, or null and the model has no isosurfaces.

    Raises:
        ValueError: export.layers is set, but the model has no isosurfaces.
    """
    sampler = generator.sampler
    if sampler.has_isosurfaces and settings.layers != 0:
        return LayerBaker(generator, settings, resolution=settings.layers or RESOLUTION)
    if settings.layers:
        kinds = " or ".join(kind for kind, cls in SAMPLERS.items() if cls.has_isosurfaces)
        raise ValueError(
            f"export.layers = {settings.layers}, but a {type(sampler).__name__} has no isosurfaces to "
            f"export: leave it open (null) or set it to 0, or train with sampler.kind {kinds}"
        )
    return None
