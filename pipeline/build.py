"""From configuration to networks and training: the only place where its values become their arguments."""

import torch

from gram.data.format import DatasetMeta
from gram.discriminator import Discriminator
from gram.generator import Generator
from gram.manifold import ManifoldPredictor
from gram.radiance import RadianceField
from gram.samplers import SurfaceSampler
from gram.training import TrainingSettings, TrainingState
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


def training_settings(config: Config) -> TrainingSettings:
    """What shapes a training step."""
    train = config.train
    surfaces_stay = config.sampler.kind == "spheres"
    return TrainingSettings(
        batch_size=train.batch_size,
        lr_generator=train.lr_generator,
        lr_discriminator=train.lr_discriminator,
        lr_manifold=0.0 if surfaces_stay else train.lr_manifold,
        betas=(train.betas[0], train.betas[1]),
        grad_clip=train.grad_clip,
        r1_weight=train.r1_weight,
        r1_every=train.r1_every,
        pose_weight=train.pose_weight,
        real_pose_weight=train.real_pose_weight,
        ema_decays=(train.ema_decays[0], train.ema_decays[1]),
        mirror=train.mirror,
        share_fakes=train.share_fakes,
        manifold_every=train.manifold_every,
        coarse_steps=train.coarse_steps,
        seed=config.seed,
    )


def training_state(config: Config, meta: DatasetMeta, device: torch.device) -> TrainingState:
    """Untrained networks, their averages and optimisers; the same seed gives the same weights."""
    torch.manual_seed(config.seed)
    untrained = generator(config, meta).to(device)
    judge = discriminator(config, meta.size).to(device)
    return TrainingState(untrained, judge, training_settings(config))
