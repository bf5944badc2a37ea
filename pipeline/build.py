"""The only place where configuration becomes objects."""

import math

import torch

from gram.data.format import DatasetMeta
from gram.data.reader import ImageDataset
from gram.discriminator import Discriminator
from gram.generator import Generator
from gram.manifold import ManifoldPredictor
from gram.poses import GaussianPoses, PosePrior, SphericalPoses
from gram.radiance import RadianceField
from gram.samplers import SurfaceSampler
from pipeline.schema import Config, DataConfig

BACKGROUND_Z = -0.12
"""Height of the background plane z = const in the world of heads."""


class MismatchError(ValueError):
    """A data set that is not the one that the configuration describes."""


def synthesis_poses(data: DataConfig) -> PosePrior:
    """Where the cameras of generated pictures stand."""
    if data.poses == "spherical":
        return SphericalPoses()
    return GaussianPoses(yaw_std=data.yaw_std, pitch_std=data.pitch_std)


def training_poses(data: DataConfig, meta: DatasetMeta) -> PosePrior:
    """Where the cameras of fakes stand: as those of the real pictures do."""
    return SphericalPoses() if data.poses == "spherical" else GaussianPoses(**meta.pose)


def open_dataset(path: str, data: DataConfig) -> ImageDataset:
    """The prepared data set at `path`.

    Raises:
        DatasetError: it is missing or cannot be used.
        MismatchError: it was prepared for another configuration.
    """
    dataset = ImageDataset(path)
    kind = "custom" if data.kind == "images" else data.kind
    made = f"{dataset.meta.kind} of {dataset.meta.size} x {dataset.meta.size} pixels"
    if (dataset.meta.kind, dataset.meta.size) != (kind, data.size):
        raise MismatchError(
            f"{path} holds {made}, but the configuration asks for {kind} of {data.size} x {data.size}: "
            "run python -m pipeline.prepare with the same arguments, or choose the matching data=PRESET"
        )
    return dataset


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


def fov(data: DataConfig) -> float:
    """Field of view of generated pictures, radians."""
    return math.radians(data.fov_degrees)
