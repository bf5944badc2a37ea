"""From configuration to networks and training: the only place where its values become their arguments."""

import copy
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch

from gram.data.format import DatasetMeta
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import PosePrior
from gram.model import folder
from gram.model.generator import Generator
from gram.rendering.samplers import SAMPLERS, SurfaceSampler
from gram.system.folders import write_folder
from gram.training.precision import Precision
from gram.training.state import TrainingSettings, TrainingState
from pipeline.config.schema import Config
from pipeline.tracking import identity

PROBED_POSES = 256
PROBED_SIZE = 17
"""Pixels along one side of the pictures whose rays are probed, the border and the centre among them."""
BACKGROUND_Z = -0.12
"""Height of the background plane z = const in the world of heads."""
DELTA_TIMES_POINTS = 0.96
"""As published for faces, 24 times 0.04: more surfaces are more transparent."""


def model_settings(config: Config, meta: DatasetMeta) -> dict[str, Any]:
    """Arguments of every part of a model whose cameras and space are those of the data set."""
    model = config.model
    return {
        "generator": {
            "fov": meta.fov,
            "z_dim": model.z_dim,
            "mapping_width": model.mapping_width,
            "mapping_layers": model.mapping_layers,
        },
        "radiance": {
            "width": model.hidden,
            "layers": model.layers,
            "view_dependent": model.view_dependent,
            "box": model.box,
            "frequency_scale": model.frequency_scale,
            "frequency_offset": model.frequency_offset,
        },
        "manifold": {
            "width": model.manifold_hidden,
            "hidden_layers": model.manifold_layers,
            "centre": list(model.manifold_centre),
            "init": model.manifold_init,
        },
        "ray_network": {
            "width": model.ray_hidden,
            "layers": model.ray_layers,
            "frequencies": model.ray_frequencies,
        },
        "sampler": sampler_settings(config, meta),
        "discriminator": {
            "size": meta.size,
            "width": model.discriminator_width,
            "max_channels": model.discriminator_max_channels,
        },
    }


def sampler_settings(config: Config, meta: DatasetMeta) -> dict[str, Any]:
    """Arguments that a kind of sampler has, from options of the same names or made of others."""
    sampler = config.sampler
    behind = BACKGROUND_Z if meta.background == "plane" else None
    common = {"kind": sampler.kind, "near": meta.near, "far": meta.far, "background_z": behind}
    arguments = asdict(sampler) | {
        "delta": DELTA_TIMES_POINTS / sampler.points if sampler.delta is None else sampler.delta,
        "levels": sampler.points - (behind is not None),
        "box": config.model.box,
    }
    return common | {name: arguments[name] for name in SAMPLERS[sampler.kind].options}


def training_settings(config: Config) -> TrainingSettings:
    """What shapes a training step."""
    train = config.train
    return TrainingSettings(
        batch_size=train.batch_size,
        micro_batch=train.micro_batch,
        patches=train.patches,
        precision=cast(Precision, train.precision),
        lr_generator=train.lr_generator,
        lr_discriminator=train.lr_discriminator,
        lr_manifold=train.lr_manifold,
        betas=(train.betas[0], train.betas[1]),
        grad_clip=train.grad_clip,
        r1_weight=train.r1_weight,
        r1_every=train.r1_every,
        pose_weight=train.pose_weight,
        real_pose_weight=train.real_pose_weight,
        foreground=train.foreground,
        foreground_weight=train.foreground_weight,
        border_weight=train.border_weight,
        edge_weight=train.edge_weight,
        ema_decays=(train.ema_decays[0], train.ema_decays[1]),
        mirror=train.mirror,
        share_fakes=train.share_fakes,
        manifold_every=train.manifold_every,
        seed=config.seed,
    )


def training_state(config: Config, meta: DatasetMeta, device: torch.device) -> TrainingState:
    """Untrained networks, their averages and optimisers; the same seed gives the same weights.

    Raises:
        ValueError: a foreground is asked for, and there is nothing behind it that could be learned.
    """
    torch.manual_seed(config.seed)
    settings = model_settings(config, meta)
    generator = folder.build_generator(settings).to(device)
    generator.radiance.recompute = config.train.recompute
    if config.train.foreground is not None and generator.sampler.white_background:
        raise ValueError(
            f"train.foreground = {config.train.foreground}, but behind these pictures is white, which is not "
            "learned: set it to null"
        )
    discriminator = folder.build_discriminator(settings).to(device)
    discriminator.channels_last = device.type == "cuda"
    return TrainingState(generator, discriminator, training_settings(config))


def require_reachable_levels(generator: Generator, prior: PosePrior, *, poses: int = PROBED_POSES) -> None:
    """Refuse isosurfaces that no ray can meet; a sampler that has none is fine.

    Args:
        generator: as it is when training begins.
        prior: where the cameras stand.
        poses: number of cameras to look from; few are enough to find what is not missed.

    Raises:
        ValueError: names them, and the values that can be met.
    """
    sampler = generator.sampler
    if not isinstance(sampler, SurfaceSampler):
        return
    drawn = prior.sample(poses, generator=torch.Generator().manual_seed(0))
    drawn = drawn.to(next(generator.parameters()).device)
    rays = pixel_rays(look_at_origin(drawn), size=PROBED_SIZE, fov=generator.fov)
    missed = sampler.values[sampler.hit_rates(rays) == 0].tolist()
    if missed:
        low, high = sampler.field_range(rays)
        raise ValueError(
            f"no ray meets the isosurfaces of level {', '.join(f'{level:.4g}' for level in missed)}: "
            f"between near and far the manifold predictor goes from {low:.4g} to {high:.4g}. "
            "Choose sampler.first_level and sampler.last_level inside that range, or fewer sampler.points"
        )


def averaged(state: TrainingState) -> Generator:
    """The first average of the generator: what is drawn, measured and published."""
    average = state.emas[0].module
    assert isinstance(average, Generator)
    return average


def save_model(path: Path, state: TrainingState, settings: dict[str, Any], made_from: dict[str, Any]) -> None:
    """Write the model folder; `made_from` tells where it comes from."""
    generator = copy.deepcopy(averaged(state))  # its mean is for the folder alone, training has none
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    described = {**settings, "made_from": made_from}
    files = folder.model_files(generator, state.discriminator, described)
    write_folder(path, identity.signed(files, described))


def described(path: str | Path, *origin: str) -> dict[str, Any]:
    """model.json of a folder whose `made_from` tells all of `origin`.

    Args:
        path: of the folder.
        origin: fields of `gram.model.settings.MadeFrom`.

    Raises:
        ModelError: there is none, or it says something else.
    """
    settings = folder.load_settings(path)
    for name in origin:
        if name not in settings.get("made_from", {}):
            told = f"{Path(path) / folder.SETTINGS}: made_from.{name} is missing"
            raise folder.ModelError(f"{told}: name a folder that pipeline.train wrote, or copy it again")
    return settings


def untrained_twin(path: str) -> Generator:
    """The generator of a model folder as it was before training."""
    settings = described(path, "seed")
    torch.manual_seed(settings["made_from"]["seed"])
    generator = folder.build_generator(settings).eval()
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    return generator


def device(name: str) -> torch.device:
    """`auto` is a GPU where there is one.

    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("train.device = cuda, but torch sees no GPU: use auto or cpu, or check the driver")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
