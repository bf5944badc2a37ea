"""Networks and training from a configuration: the only place that turns options into their arguments."""

import copy
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch

from gram.data.format import DatasetMeta
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import PosePrior
from gram.model import folder
from gram.model.generator import Generator
from gram.model.settings import (
    DiscriminatorSettings,
    GeneratorSettings,
    ManifoldSettings,
    RadianceSettings,
    RayNetworkSettings,
    pose_settings,
)
from gram.ops.backend import Backend, use_backend
from gram.rendering.samplers import SAMPLERS, SurfaceSampler
from gram.system.folders import write_folder
from gram.training.state import TrainingSettings, TrainingState
from pipeline.config.schema import Config, ModelConfig
from pipeline.runtime import scene
from pipeline.tracking import identity

OF_TRAINING = ("recompute",)
"""Arguments of a model without effect on its results, which its folder omits."""
PROBED_POSES = 256
PROBED_SIZE = 17
"""Pixels along one side of the images whose rays are probed, with the border and the centre."""
BACKGROUND_Z = -0.12
"""Coordinate z of the background plane, in world units."""
DELTA_TIMES_POINTS = 0.96
"""Product of delta and the number of points as published for faces, 24 * 0.04."""


def model_settings(config: Config, meta: DatasetMeta) -> dict[str, Any]:
    """Arguments of all parts of a model, with the cameras and the space of the data set."""
    model = config.model
    return {
        "generator": _part(GeneratorSettings, model, fov=meta.fov),
        "radiance": _part(RadianceSettings, model, width=model.hidden),
        "manifold": _part(
            ManifoldSettings,
            model,
            "manifold_",
            width=model.manifold_hidden,
            hidden_layers=model.manifold_layers,
        ),
        "ray_network": _part(RayNetworkSettings, model, "ray_", width=model.ray_hidden),
        "sampler": sampler_settings(config, meta),
        "discriminator": _part(DiscriminatorSettings, model, "discriminator_", size=meta.size),
        "poses": pose_settings(scene.training_poses(config.data, meta)),
    }


def _part(settings: type, model: ModelConfig, prefix: str = "", **given: Any) -> dict[str, Any]:
    """Arguments of one part: those given, and options of the same names after a prefix."""
    names = [name for name in get_type_hints(settings) if name not in OF_TRAINING]
    return {name: given[name] if name in given else getattr(model, prefix + name) for name in names}


def sampler_settings(config: Config, meta: DatasetMeta) -> dict[str, Any]:
    """Arguments of a sampler, from options of the same names or derived from others."""
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
    """Settings of a training step: options of `train` of the same names, and the seed."""
    names = [field.name for field in fields(TrainingSettings) if field.name != "seed"]
    values: dict[str, Any] = {name: getattr(config.train, name) for name in names}
    pairs = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    values |= pairs
    return TrainingSettings(**values, seed=config.seed)


def training_state(
    config: Config, meta: DatasetMeta, device: torch.device, backend: Backend | None = None
) -> TrainingState:
    """Create untrained networks, their averages and optimisers; the same seed gives the same weights.

    Raises:
        ValueError: train.foreground is set, but the background is white and not learned.
    """
    torch.manual_seed(config.seed)
    settings = model_settings(config, meta)
    generator = folder.build_generator(settings).to(device)
    generator.radiance.recompute = config.train.recompute
    use_backend(generator, backend)
    if config.train.foreground is not None and generator.sampler.white_background:
        raise ValueError(
            f"train.foreground = {config.train.foreground}, but these images have a white background, which "
            "is not learned: set it to null"
        )
    discriminator = folder.build_discriminator(settings).to(device)
    discriminator.channels_last = device.type == "cuda"
    return TrainingState(generator, discriminator, training_settings(config))


def require_reachable_levels(generator: Generator, prior: PosePrior, *, poses: int = PROBED_POSES) -> None:
    """Refuse isosurfaces that no ray of some camera `poses` intersects; other samplers pass.

    Raises:
        ValueError: the levels, and the range that rays reach.
    """
    sampler = generator.sampler
    if not isinstance(sampler, SurfaceSampler):
        return
    # rays of a fixed set of poses, (poses, PROBED_SIZE ** 2)
    drawn = prior.sample(poses, generator=torch.Generator().manual_seed(0))
    drawn = drawn.to(next(generator.parameters()).device)
    rays = pixel_rays(look_at_origin(drawn), size=PROBED_SIZE, fov=generator.fov)
    # levels without any intersection
    missed = sampler.values[sampler.hit_rates(rays) == 0].tolist()
    if missed:
        low, high = sampler.field_range(rays)
        raise ValueError(
            f"no ray intersects the isosurfaces of level {', '.join(f'{level:.4g}' for level in missed)}: "
            f"between near and far the manifold predictor ranges from {low:.4g} to {high:.4g}. "
            "Choose sampler.first_level and sampler.last_level inside that range, or fewer sampler.points"
        )


def averaged(state: TrainingState) -> Generator:
    """First moving average of the generator, which is rendered, evaluated and published."""
    average = state.emas[0].module
    assert isinstance(average, Generator)
    return average


def save_model(path: Path, state: TrainingState, settings: dict[str, Any], made_from: dict[str, Any]) -> None:
    """Write a model folder with its origin, `made_from`."""
    generator = copy.deepcopy(averaged(state))  # the mean below is for the folder alone
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    described = {**settings, "made_from": made_from}
    files = folder.model_files(generator, state.discriminator, described)
    write_folder(path, identity.signed(files, described))


def described(path: str | Path, *origin: str) -> dict[str, Any]:
    """Read model.json of a folder; ModelError if a field `origin` of its `made_from` is missing."""
    settings = folder.load_settings(path)
    for name in origin:
        if name not in settings.get("made_from", {}):
            problem = f"{Path(path) / folder.SETTINGS}: made_from.{name} is missing"
            raise folder.ModelError(f"{problem}: name a folder that pipeline.train wrote, or copy it again")
    return settings


def untrained_twin(path: str) -> Generator:
    """Generator of a model folder before training."""
    settings = described(path, "seed")
    torch.manual_seed(settings["made_from"]["seed"])
    generator = folder.build_generator(settings).eval()
    generator.update_mean_film(generator=torch.Generator().manual_seed(0))
    return generator


def device(name: str) -> torch.device:
    """Device of train.device; `auto` is a GPU if there is one, and `cuda` without one a ValueError."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError("train.device = cuda, but torch sees no GPU: use auto or cpu, or check the driver")
    return torch.device("cuda" if available and name != "cpu" else "cpu")
