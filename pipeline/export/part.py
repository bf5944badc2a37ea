"""What every part of an export is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gram.model.generator import Generator
from gram.model.latents import read_latents
from gram.shapes import Float
from pipeline.config.schema import ExportConfig

if TYPE_CHECKING:
    from pipeline.export.layers import Manifolds


@dataclass(frozen=True, kw_only=True)
class ExportedLatent:
    """One latent of a trained model.

    Attributes:
        generator: in evaluation mode.
        name: of the latent; files begin with it.
        z: the latent, on the generator's device.
        settings: of the export.
        out: where files go.
        manifolds: what bakes latents of the generator, where it has isosurfaces and they are wanted.
    """

    generator: Generator
    name: str
    z: Float[torch.Tensor, " z_dim"]
    settings: ExportConfig
    out: Path
    manifolds: "Manifolds | None" = None

    def file(self, ending: str) -> Path:
        """The file whose name is the latent's and `ending`, such as `.glb` or `_layers.glb`."""
        return self.out / f"{self.name}{ending}"


@dataclass(frozen=True, kw_only=True)
class ExportedFiles:
    """What a part wrote, and what meshes.json says of it."""

    files: Sequence[Path]
    facts: Mapping[str, Any]


Part = Callable[[ExportedLatent], ExportedFiles]
"""Writes files of one latent."""

Ending = Callable[[Sequence[ExportedLatent]], Sequence[Path]]
"""Writes files about all latents together when those of each are there."""


def subjects(
    generator: Generator, settings: ExportConfig, out: Path, manifolds: "Manifolds | None" = None
) -> list[ExportedLatent]:
    """The latents that are to be exported: those of a file, or one for each seed.

    Raises:
        ValueError: the file of latents cannot be read, or is of another model.
    """
    device = next(generator.parameters()).device
    if settings.latents is not None:
        read = read_latents(settings.latents, z_dim=generator.z_dim)
        named = {f"latent_{i:03d}": z for i, z in enumerate(read)}
    else:
        named = {f"seed_{seed:04d}": _of_seed(seed, generator.z_dim) for seed in settings.seeds}
    return [
        ExportedLatent(
            generator=generator, name=name, z=z.to(device), settings=settings, out=out, manifolds=manifolds
        )
        for name, z in named.items()
    ]


def _of_seed(seed: int, z_dim: int) -> Float[torch.Tensor, " z_dim"]:
    return torch.randn(z_dim, generator=torch.Generator().manual_seed(seed))
