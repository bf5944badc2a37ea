"""Model folders: generator.safetensors, discriminator.safetensors and model.json, never pickle.

`settings` holds the keyword arguments of every part: `generator`, `radiance`, `sampler` and `discriminator`,
and of the sampler's network if it has one: `manifold` or `ray_network`. The sampler's `kind` is one of
`gram.rendering.samplers.SAMPLERS`. Other entries are kept.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch
from torch import nn

from gram.model import settings as model_settings
from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator
from gram.networks.radiance import RadianceField
from gram.rendering.samplers import SAMPLERS, Sampler
from gram.system import documents, tensor_files
from gram.system.folders import write_folder

GENERATOR = "generator.safetensors"
DISCRIMINATOR = "discriminator.safetensors"
SETTINGS = "model.json"

Network = TypeVar("Network", bound=nn.Module)


class ModelError(ValueError):
    """Unusable model folder; the message says why and what to do."""


def build_generator(settings: Mapping[str, Any]) -> Generator:
    """Build a generator with random weights."""
    sampler = build_sampler(settings)
    return Generator(radiance=RadianceField(**settings["radiance"]), sampler=sampler, **settings["generator"])


def build_sampler(settings: Mapping[str, Any]) -> Sampler:
    """Build an untrained sampler.

    Raises:
        ValueError: unknown kind or invalid arguments.
    """
    kind = settings["sampler"]["kind"]
    if kind not in SAMPLERS:
        raise ValueError(f"there is no sampler of kind {kind!r}")
    return SAMPLERS[kind].build(settings)


def build_discriminator(settings: Mapping[str, Any]) -> Discriminator:
    """Build a discriminator with random weights."""
    return Discriminator(**settings["discriminator"])


def save_model(
    path: str | Path, generator: Generator, discriminator: Discriminator, settings: Mapping[str, Any]
) -> None:
    """Write a model folder atomically.

    Raises:
        OSError: it cannot be written; an existing model stays intact.
    """
    write_folder(Path(path), model_files(generator, discriminator, settings))


def model_files(
    generator: Generator,
    discriminator: Discriminator,
    settings: Mapping[str, Any],
    *,
    dtype: torch.dtype | None = None,
) -> dict[str, bytes]:
    """Serialise a model to the files of its folder; `dtype` converts the weights, None keeps their types."""
    return {
        GENERATOR: _to_bytes(generator, dtype),
        DISCRIMINATOR: _to_bytes(discriminator, dtype),
        SETTINGS: (json.dumps(settings, indent=2) + "\n").encode(),
    }


def load_settings(path: str | Path) -> dict[str, Any]:
    """Read model.json of a model folder, checked against `gram.model.settings`.

    Raises:
        ModelError: the file is missing or invalid.
    """
    file = Path(path) / SETTINGS
    if not file.is_file():
        raise ModelError(f"{path} is no model: it has no {SETTINGS}: name a folder that training wrote")
    try:
        return model_settings.read(file)
    except documents.DocumentError as error:
        raise ModelError(str(error)) from error


def load_model(path: str | Path) -> Generator:
    """Load the generator of a model folder, in evaluation mode on the CPU.

    Raises:
        ModelError: a file is missing or damaged, or tensors are missing, unknown or misshapen.

    Example:
        >>> generator = load_model("models/heads64")
        >>> generator.training, type(generator.sampler).__name__
        (False, 'SurfaceSampler')
    """
    return _load(Path(path), GENERATOR, build_generator)


def load_discriminator(path: str | Path) -> Discriminator:
    """Load the discriminator of a model folder, in evaluation mode on the CPU.

    Raises:
        ModelError: see `load_model`.
    """
    return _load(Path(path), DISCRIMINATOR, build_discriminator)


def _load(folder: Path, name: str, build: Callable[[Mapping[str, Any]], Network]) -> Network:
    """Load a network, built on the meta device first to check the shapes of the file."""
    settings, file = load_settings(folder), folder / name
    if not file.is_file():
        raise ModelError(f"{file} is missing: the model folder is incomplete, copy it again")
    try:
        with torch.device("meta"):
            wanted = build(settings).state_dict()
        weights = tensor_files.read(file, wanted, described_by=SETTINGS)
        network = build(settings)
    except tensor_files.TensorFileError as error:
        raise ModelError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        problem = f"{folder / SETTINGS} describes no model ({type(error).__name__}: {error})"
        raise ModelError(f"{problem}: {model_settings.REMEDY}") from error
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def _to_bytes(module: nn.Module, dtype: torch.dtype | None) -> bytes:
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    if dtype is not None:
        tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    return safetensors.torch.save(tensors)
