"""From configuration to networks and training: the only place where its values become their arguments."""

import copy
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch

from gram.data.format import DatasetMeta
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses, PosePrior, SphericalPoses
from gram.model import folder
from gram.model.generator import Generator
from gram.model.settings import (
    DiscriminatorSettings,
    GeneratorSettings,
    ManifoldSettings,
    RadianceSettings,
    RayNetworkSettings,
)
from gram.ops.backend import Backend, use_backend
from gram.rendering.samplers import SAMPLERS, SurfaceSampler
from gram.system.folders import write_folder
from gram.training.state import TrainingSettings, TrainingState
from pipeline.config.schema import Config, ModelConfig
from pipeline.runtime import scene
from pipeline.tracking import identity

OF_TRAINING = ("recompute",)
"""Arguments of a model that change none of its results; its folder does not name them."""
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
        "poses": _poses(scene.training_poses(config.data, meta)),
    }


def _poses(prior: GaussianPoses | SphericalPoses) -> dict[str, Any]:
    kind = "spherical" if isinstance(prior, SphericalPoses) else "gaussian"
    return {"kind": kind, **asdict(prior)}


def _part(settings: type, model: ModelConfig, prefix: str = "", **given: Any) -> dict[str, Any]:
    """Arguments of one part: options of the same names after a prefix, beside those that are given.

    Raises:
        AttributeError: an argument has no option.
    """
    names = [name for name in get_type_hints(settings) if name not in OF_TRAINING]
    return {name: given[name] if name in given else getattr(model, prefix + name) for name in names}


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
    """Settings of a training step: options of train of the same names, and the seed.

    Raises:
        AttributeError: a field has no option.
    """
    names = [field.name for field in fields(TrainingSettings) if field.name != "seed"]
    values: dict[str, Any] = {name: getattr(config.train, name) for name in names}
    pairs = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    values |= pairs
    return TrainingSettings(**values, seed=config.seed)


def training_state(
    config: Config, meta: DatasetMeta, device: torch.device, backend: Backend | None = None
) -> TrainingState:
    """Untrained networks, their averages and optimisers; the same seed gives the same weights.

    Raises:
        ValueError: a foreground is asked for, and there is nothing behind it that could be learned.
    """
    torch.manual_seed(config.seed)
    settings = model_settings(config, meta)
    generator = folder.build_generator(settings).to(device)
    generator.radiance.recompute = config.train.recompute
    use_backend(generator, backend)
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
