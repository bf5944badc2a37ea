"""From configuration to networks and training: the only place where its values become their arguments."""

import torch

from gram.data.format import DatasetMeta
from gram.discriminator import Discriminator
from gram.generator import Generator
from gram.manifold import ManifoldPredictor
from gram.radiance import RadianceField
from gram.samplers import SurfaceSampler
from pipeline.schema import Config

BACKGROUND_Z = -0.12
"""Height of the background plane z = const in the world of heads."""


def generator(config: Config, meta: DatasetMeta) -> Generator:
    """An untrained generator with the data set's cameras and space; draws from torch's global RNG."""
    model, sampler = config.model, config.sampler
    x, y, z = model.manifold_centre
    manifold = ManifoldPredictor(
        width=model.manifold_hidden,
        hidden_layers=model.manifold_layers,
        centre=(x, y, z),
        init="sphere" if model.manifold_init == "sphere" else "published",
    )
    if sampler.kind == "spheres":
        manifold.requires_grad_(False)
    surfaces = SurfaceSampler(
        manifold,
        levels=sampler.levels,
        first_level=sampler.first_level,
        last_level=sampler.last_level,
        near=meta.near,
        far=meta.far,
        num_samples=sampler.num_samples,
        delta=sampler.delta,
        mode="refined" if sampler.mode == "refined" else "linear",
        background_z=BACKGROUND_Z if meta.background == "plane" else None,
    )
    radiance = RadianceField(
        width=model.hidden,
        layers=model.layers,
        view_dependent=model.view_dependent,
        box=model.box,
        frequency_scale=model.frequency_scale,
        frequency_offset=model.frequency_offset,
    )
    return Generator(
        radiance=radiance,
        sampler=surfaces,
        fov=meta.fov,
        z_dim=model.z_dim,
        mapping_width=model.mapping_width,
        mapping_layers=model.mapping_layers,
    )


def discriminator(config: Config, size: int) -> Discriminator:
    """An untrained discriminator; draws from torch's global RNG."""
    return Discriminator(
        size=size,
        width=config.model.discriminator_width,
        max_channels=config.model.discriminator_max_channels,
    )


def device(name: str) -> torch.device:
    """`auto` is a GPU where there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("train.device = cuda, but torch sees no GPU: use auto or cpu, or check the driver")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
