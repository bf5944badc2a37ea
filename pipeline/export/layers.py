"""The isosurfaces of a model with the colours of a latent on them, as one file that any viewer draws."""

import math
from functools import cached_property
from pathlib import Path

import torch

from gram.extraction.baking import BakedManifolds, bake
from gram.extraction.charts import Charts
from gram.meshing import draw_layers, read_layers, write_layers
from gram.model.generator import Generator
from gram.rendering.samplers import SAMPLERS
from gram.shapes import Float
from pipeline.config.schema import ExportConfig
from pipeline.export.cameras import prior
from pipeline.export.part import ExportedFiles, ExportedLatent

RESOLUTION = 128
"""Of textures, where the configuration leaves it open."""
SEEN = 64
"""Cameras that tell how far surfaces reach."""
COMPARED, COMPARED_SIZE = 8, 128
"""Pictures of the file that are compared with the model's own, and pixels along one side of them."""


class Manifolds:
    """Bakes latents of one model; where its surfaces are is found once, as no latent has a part in it.

    Args:
        generator: whose sampler is on isosurfaces.
        settings: of the export.
        resolution: pixels along one side of a texture.
    """

    def __init__(self, generator: Generator, settings: ExportConfig, *, resolution: int) -> None:
        self._generator, self._settings = generator, settings
        self.resolution = resolution
        rng = torch.Generator().manual_seed(0)
        cameras = prior(generator, settings)
        self.poses = cameras.sample(SEEN, generator=rng)
        self.compared = cameras.sample(COMPARED, generator=rng)
        self.protocol = (
            f"decibels, {COMPARED} pictures of {COMPARED_SIZE} x {COMPARED_SIZE} pixels from {cameras}, "
            "the file drawn in order against the model's own pictures, range of colours 1"
        )

    def bake(self, z: Float[torch.Tensor, " z_dim"]) -> BakedManifolds:
        """The manifolds of a latent."""
        return bake(
            self._generator, z, self.poses.to(z.device),
            resolution=self.resolution, psi=self._settings.psi, charts=self._charts,
        )  # fmt: skip

    def likeness(self, path: Path, z: Float[torch.Tensor, " z_dim"]) -> float:
        """PSNR of a file's pictures against the model's own of the latent, decibels."""
        generator, poses = self._generator, self.compared
        drawn = draw_layers(read_layers(path), poses, size=COMPARED_SIZE, fov=generator.fov)
        own = generator.render(
            z.expand(len(poses), -1), poses.to(z.device), size=COMPARED_SIZE, psi=self._settings.psi
        )
        error = float(((own.image.cpu() - drawn) / 2.0).square().mean())
        return -10.0 * math.log10(max(error, 1e-10))

    @cached_property
    def _charts(self) -> Charts:
        z = torch.zeros(self._generator.z_dim, device=next(self._generator.parameters()).device)
        poses = self.poses.to(z.device)
        return bake(self._generator, z, poses, resolution=self.resolution).charts


def manifolds_of(generator: Generator, settings: ExportConfig) -> Manifolds | None:
    """What bakes the latents of a model; None where no layers are wanted, or left open and impossible.

    Raises:
        ValueError: layers are asked for, and the model has no isosurfaces.
    """
    sampler = generator.sampler
    if sampler.has_isosurfaces and settings.layers != 0:
        return Manifolds(generator, settings, resolution=settings.layers or RESOLUTION)
    if settings.layers:
        kinds = " or ".join(kind for kind, cls in SAMPLERS.items() if cls.has_isosurfaces)
        raise ValueError(
            f"export.layers = {settings.layers}, but a {type(sampler).__name__} has no isosurfaces to "
            f"export: leave it open (null) or set it to 0, or train with sampler.kind {kinds}"
        )
    return None


def export_layers(subject: ExportedLatent) -> ExportedFiles:
    """NAME_layers.glb, and how much its pictures are like the model's own."""
    if subject.manifolds is None:
        return ExportedFiles(files=[], facts={"layers": 0})
    path = subject.file("_layers.glb")
    layers = subject.manifolds.bake(subject.z).layers()
    write_layers(layers, path)
    facts = {
        "layers": len(layers),
        "layers_texture": subject.manifolds.resolution,
        "layers_psnr": round(subject.manifolds.likeness(path, subject.z), 2),
        "layers_psnr_protocol": subject.manifolds.protocol,
    }
    return ExportedFiles(files=[path], facts=facts)
