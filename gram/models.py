"""Models on disk: folders of generator.safetensors, discriminator.safetensors and model.json; never pickle.

`settings` holds the keyword arguments of every part: `generator`, `radiance`, `sampler` and `discriminator`,
`manifold` for samplers on its isosurfaces, `ray_network` for neusample; the sampler's `kind` says which it
is. Further entries are kept as they are.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from gram.discriminator import Discriminator
from gram.folders import write_folder
from gram.generator import Generator
from gram.manifold import ManifoldPredictor
from gram.radiance import RadianceField
from gram.ray_network import RayNetwork
from gram.samplers import (
    HierarchicalSampler,
    NeusampleSampler,
    PlaneSampler,
    Sampler,
    StratifiedSampler,
    SurfaceSampler,
)

GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
SETTINGS = "model.json"

Network = TypeVar("Network", bound=nn.Module)


class ModelError(ValueError):
    """A model folder that cannot be used; the message says why and what to do."""


def build_generator(settings: Mapping[str, Any]) -> Generator:
    """A generator with fresh random weights."""
    sampler = build_sampler(settings)
    return Generator(radiance=RadianceField(**settings["radiance"]), sampler=sampler, **settings["generator"])


def build_sampler(settings: Mapping[str, Any]) -> Sampler:
    """A sampler, untrained where it learns.

    Raises:
        ValueError: an unknown kind, or arguments that it cannot take.
    """
    arguments = dict(settings["sampler"])
    match arguments.pop("kind"):
        case "manifold" | "spheres" as kind:
            centre = tuple(float(x) for x in settings["manifold"]["centre"])
            manifold = ManifoldPredictor(**{**settings["manifold"], "centre": centre})
            return SurfaceSampler(manifold, **arguments, learned=kind == "manifold")
        case "planes":
            return PlaneSampler(**arguments)
        case "stratified":
            return StratifiedSampler(**arguments)
        case "hierarchical":
            return HierarchicalSampler(**arguments)
        case "neusample":
            network = RayNetwork(points=arguments["points"], **settings["ray_network"])
            return NeusampleSampler(network, **arguments)
        case unknown:
            raise ValueError(f"there is no sampler of kind {unknown!r}")


def build_discriminator(settings: Mapping[str, Any]) -> Discriminator:
    """A discriminator with fresh random weights."""
    return Discriminator(**settings["discriminator"])


def save_model(
    path: str | Path, generator: Generator, discriminator: Discriminator, settings: Mapping[str, Any]
) -> None:
    """Write a model folder, whole or not at all.

    Raises:
        OSError: it cannot be written; a model that was there is intact.
    """
    write_folder(Path(path), model_files(generator, discriminator, settings))


def model_files(
    generator: Generator,
    discriminator: Discriminator,
    settings: Mapping[str, Any],
    *,
    dtype: torch.dtype | None = None,
) -> dict[str, bytes]:
    """What a model folder holds, file by file; `dtype` is that of the weights on disk, None as they are."""
    return {
        GENERATOR: _to_bytes(generator, dtype),
        DISCRIMINATOR: _to_bytes(discriminator, dtype),
        SETTINGS: (json.dumps(settings, indent=2) + "\n").encode(),
    }


def load_settings(path: str | Path) -> dict[str, Any]:
    """model.json of a model folder.

    Raises:
        ModelError: there is none, or it is no JSON.
    """
    file = Path(path) / SETTINGS
    if not file.is_file():
        raise ModelError(f"{path} is no model: it has no {SETTINGS}. name a folder that training wrote")
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{file} is no JSON ({error}): the folder is damaged, copy or train the model again"
        ) from error
    if not isinstance(settings, dict):
        raise ModelError(f"{file} describes no model (it holds a {type(settings).__name__}): copy it again")
    return settings


def load_model(path: str | Path) -> Generator:
    """A generator that renders, in evaluation mode on the CPU.

    Raises:
        ModelError: a file is missing or damaged, or tensors are missing, unknown or misshapen.
    """
    generator = _described(path, build_generator)
    _load(generator, Path(path) / GENERATOR)
    return generator.eval().requires_grad_(False)


def load_discriminator(path: str | Path) -> Discriminator:
    """The discriminator of a model folder, in evaluation mode on the CPU.

    Raises:
        ModelError: as `load_model`.
    """
    discriminator = _described(path, build_discriminator)
    _load(discriminator, Path(path) / DISCRIMINATOR)
    return discriminator.eval().requires_grad_(False)


def _described(path: str | Path, build: Callable[[Mapping[str, Any]], Network]) -> Network:
    settings = load_settings(path)
    try:
        return build(settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{Path(path) / SETTINGS} describes no model ({type(error).__name__}: {error}): "
            "copy it again, or read it with the version of gram that wrote it"
        ) from error


def _to_bytes(module: nn.Module, dtype: torch.dtype | None) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if dtype is not None:
        tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    return safetensors.torch.save(tensors)


def _load(module: nn.Module, file: Path) -> None:
    if not file.is_file():
        raise ModelError(f"{file} is missing: the model folder is incomplete, copy it again")
    try:
        weights = safetensors.torch.load_file(file)
    except safetensors.SafetensorError as error:
        raise ModelError(f"{file} is damaged or no safetensors file ({error}): copy it again") from error
    problems = _misfits(module.state_dict(), weights)
    if problems:
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise ModelError(f"{file} does not fit {SETTINGS}: {shown}")
    module.load_state_dict(weights)


def _misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    missing = [f"{name} is missing" for name in wanted if name not in found]
    unknown = [f"{name} is unknown" for name in found if name not in wanted]
    shapes = [
        f"{name} has shape {tuple(found[name].shape)}, not {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in found and found[name].shape != value.shape
    ]
    return missing + unknown + shapes
