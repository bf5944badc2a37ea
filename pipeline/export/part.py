"""Interface of the parts of an export: a latent as input, files and facts about them as result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gram.model.generator import Generator
from gram.model.latents import read_latents, seed_latents
from gram.shapes import Float
from pipeline.config.schema import ExportConfig
from pipeline.export.baker import LayerBaker


@dataclass(frozen=True, kw_only=True)
class ExportedLatent:
    """One latent of a trained model."""

    generator: Generator  # in evaluation mode
    name: str  # prefix of its files
    z: Float[torch.Tensor, " z_dim"]  # on the generator's device
    settings: ExportConfig
    out: Path
    baker: LayerBaker | None = None  # None without isosurfaces, or with export.layers=0

    def file(self, ending: str) -> Path:
        """Path of the file NAME`ending`; endings are such as `.glb` or `_layers.glb`."""
        return self.out / f"{self.name}{ending}"


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """Files that a part wrote, and their entries in meshes.json."""

    files: Sequence[Path]
    facts: Mapping[str, Any]


Part = Callable[[ExportedLatent], ExportedFiles]
"""Writer of the files of one latent."""

SharedPart = Callable[[Sequence[ExportedLatent]], Sequence[Path]]
"""Writer of files of all latents together, called after those of each latent."""


def exported_latents(
    generator: Generator, settings: ExportConfig, out: Path, baker: LayerBaker | None = None
) -> list[ExportedLatent]:
    """Latents to export: those of a file, or one per seed.

    Raises:
        ValueError: the file of latents is unreadable, or of another model.
    """
    device = next(generator.parameters()).device
    if settings.latents is not None:
        read = read_latents(settings.latents, z_dim=generator.z_dim)
        named = {f"latent_{i:03d}": z for i, z in enumerate(read)}
    else:
        drawn = seed_latents(settings.seeds, generator.z_dim)
        named = {f"seed_{seed:04d}": z for seed, z in zip(settings.seeds, drawn, strict=True)}
    return [
        ExportedLatent(
            generator=generator, name=name, z=z.to(device), settings=settings, out=out, baker=baker
        )
        for name, z in named.items()
    ]
