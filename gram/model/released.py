"""Weights of the authors' released implementation, converted to our parameter names.

`settings` is the description that comes with such weights: the preset's name (`base`) and the sections
`camera`, `renderer`, `representation` and `generator`. Both are untrusted: they are checked before anything
is built, and no pickle is read.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeVar

import torch
from torch import Tensor

from gram.model.generator import Generator
from gram.model.settings import Factor, Length, Width, Words
from gram.networks.discriminator import Discriminator
from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.rendering.samplers import SurfaceSampler
from gram.system import documents, tensor_files
from gram.system.documents import Bounds, shown

Network = TypeVar("Network", Generator, Discriminator)
BACKGROUND_Z = -0.12
REMEDY = "take weights and settings of one released model"
PICKLES = "a pickle (.pth) is not read: torch.load it with weights_only=True, safetensors.torch.save_file it"
_PRESETS = {"CARLA": {"delta": 0.02, "box": 2.0}}
_FACES = {"delta": 0.04, "box": 0.24}

_GENERATOR_NAMES = [
    (r"representation\.rf_network\.mapping_network\.network\.{last}\.", "mapping.output."),
    (r"representation\.rf_network\.network\.(\d+)\.layer\.", r"radiance.layers.\1."),
    (r"representation\.rf_network\.color_layer\.0\.layer\.", "radiance.view_layer."),
    (r"representation\.rf_network\.output_sigma\.(\d+)\.", r"radiance.density_heads.\1."),
    (r"representation\.rf_network\.output_color\.(\d+)\.", r"radiance.color_heads.\1."),
    (r"representation\.sample_network\.output_layer\.", "sampler.manifold.output."),
]
# Activations are numbered as layers, so linear layers have even numbers.
_GENERATOR_SEQUENCES = [
    (r"representation\.rf_network\.mapping_network\.network\.(\d{1,3})\.", "mapping.hidden."),
    (r"representation\.sample_network\.network\.(\d{1,3})\.", "sampler.manifold.hidden."),
]
_DISCRIMINATOR_NAMES = [
    (r"layers\.(\d+)\.network\.0\.conv\.", r"blocks.\1.first."),
    (r"layers\.(\d+)\.network\.2\.conv\.", r"blocks.\1.second."),
    (r"layers\.(\d+)\.proj\.", r"blocks.\1.shortcut."),
    (r"fromRGB\.model\.0\.", "from_rgb."),
    (r"final_layer\.", "output."),
]


class ReleasedError(ValueError):
    """Invalid weights or settings of a released model; the message names the entry and a remedy."""


class CameraSettings(TypedDict):
    """Field of view in degrees, and the sampled interval of rays."""

    fov: Annotated[float, Bounds(above=0, high=179)]
    ray_start: Length
    ray_end: Length


class RendererSettings(TypedDict):
    """Search for surfaces."""

    num_samples: Annotated[int, Bounds(low=2, high=4096)]
    num_manifolds: Annotated[int, Bounds(low=2, high=1024)]
    levels_start: Factor
    levels_end: Factor
    background: bool


class RepresentationSettings(TypedDict):
    """Sizes of the radiance field and the manifold predictor."""

    hidden_dim: Width
    hidden_dim_sample: Width
    layer_num_sample: Annotated[int, Bounds(low=1, high=128)]
    center: Annotated[list[Factor], Bounds(low=3, high=3)]


class LatentSettings(TypedDict):
    """Latents."""

    z_dim: Width


class ReleasedSettings(TypedDict):
    """Used part of the description; other entries are ignored."""

    base: Words
    camera: CameraSettings
    renderer: RendererSettings
    representation: RepresentationSettings
    generator: LatentSettings


def generator_name(name: str, *, mapping_layers: int = 3) -> str:
    """Convert the name of a released generator parameter.

    Raises:
        KeyError: the name is unknown.
    """
    for pattern, ours in _GENERATOR_NAMES:
        pattern = pattern.replace("{last}", str(2 * mapping_layers))
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    for pattern, ours in _GENERATOR_SEQUENCES:
        if match := re.match(pattern, name):
            return f"{ours}{int(match[1]) // 2}.{name[match.end() :]}"
    raise KeyError(f"{name!r} is no parameter of a released generator")


def discriminator_name(name: str) -> str:
    """Convert the name of a released discriminator parameter.

    Raises:
        KeyError: the name is unknown.
    """
    for pattern, ours in _DISCRIMINATOR_NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    raise KeyError(f"{name!r} is no parameter of a released discriminator")


def read_released(weights: Path, settings: Path) -> Generator:
    """Read a generator from two files, safetensors and JSON; see `load_released`.

    Raises:
        ReleasedError: a file is missing, damaged, a pickle, or not of a released model.
        OSError: a file cannot be read.
    """
    try:
        description = documents.read(settings, ReleasedSettings, remedy=REMEDY)
        return load_released(tensor_files.read_all(weights), description, source=str(weights))
    except documents.DocumentError as error:
        raise ReleasedError(str(error)) from error
    except tensor_files.TensorFileError as error:
        raise ReleasedError(f"{error}; {PICKLES}") from error


def load_released(state_dict: Any, settings: Any, *, source: str = "released weights") -> Generator:
    """Build a generator with released weights; names may carry the prefix `generator.`.

    Args:
        state_dict: tensors by released name; entries that are not the generator's are ignored.
        settings: description of the model, see the module.
        source: name of the weights in messages.

    Raises:
        ReleasedError: a setting is missing or out of range, or a parameter is unknown, missing, misshapen or
            not finite.
    """
    try:
        description = documents.check(settings, ReleasedSettings, source="released settings", remedy=REMEDY)
    except documents.DocumentError as error:
        raise ReleasedError(str(error)) from error
    camera = description["camera"]
    if camera["ray_start"] >= camera["ray_end"]:
        problem = f"camera.ray_start is {camera['ray_start']}, not less than ray_end = {camera['ray_end']}"
        raise ReleasedError(f"released settings: {problem}: {REMEDY}")
    weights = {
        name.removeprefix("generator."): tensor
        for name, tensor in _entries(state_dict, source).items()
        if "representation." in name and name[:5] != "grad."
    }
    renamed = _renamed(weights, generator_name, source)
    return _fitted(lambda: _generator(description), renamed, source, ignore=("mean_", "manifold.centre"))


def load_released_discriminator(
    state_dict: Any, image_size: int, *, source: str = "released weights"
) -> Discriminator:
    """Build a discriminator with released weights.

    Raises:
        ReleasedError: invalid size, or a parameter is unknown, missing, misshapen or not finite.
    """
    if not 4 <= image_size <= 4096 or image_size & (image_size - 1):
        raise ReleasedError(f"image_size is {shown(image_size)}, no power of two from 4 to 4096: {REMEDY}")
    renamed = _renamed(_entries(state_dict, source), discriminator_name, source)
    return _fitted(lambda: Discriminator(size=image_size), renamed, source)


def _generator(settings: Mapping[str, Any]) -> Generator:
    """Build a generator from checked settings."""
    renderer, representation = settings["renderer"], settings["representation"]
    preset = next((v for k, v in _PRESETS.items() if k in settings["base"].upper()), _FACES)
    background = renderer["background"]
    x, y, z = (float(c) for c in representation["center"])
    manifold = ManifoldPredictor(
        width=representation["hidden_dim_sample"],
        hidden_layers=representation["layer_num_sample"],
        centre=(x, y, z),
    )
    sampler = SurfaceSampler(
        manifold,
        levels=renderer["num_manifolds"] - background,
        first_level=renderer["levels_start"],
        last_level=renderer["levels_end"],
        near=settings["camera"]["ray_start"],
        far=settings["camera"]["ray_end"],
        num_samples=renderer["num_samples"],
        delta=preset["delta"],
        background_z=BACKGROUND_Z if background else None,
    )
    return Generator(
        radiance=RadianceField(width=representation["hidden_dim"], box=preset["box"]),
        sampler=sampler,
        fov=math.radians(settings["camera"]["fov"]),
        z_dim=settings["generator"]["z_dim"],
    )


def _entries(state_dict: Any, source: str) -> dict[str, Tensor]:
    """Require a mapping of names to tensors."""
    if not isinstance(state_dict, Mapping):
        raise ReleasedError(f"{source}: {type(state_dict).__name__} is no mapping of names: {REMEDY}")
    for name, tensor in state_dict.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            problem = f"{shown(name)} is {type(tensor).__name__}, not a tensor with a name"
            raise ReleasedError(f"{source}: {problem}: {REMEDY}")
    return dict(state_dict)


def _renamed(weights: Mapping[str, Tensor], convert: Callable[[str], str], source: str) -> dict[str, Tensor]:
    renamed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        try:
            new_name = convert(name)
        except KeyError as error:
            problem = str(error.args[0]).replace(repr(name), shown(name))
            raise ReleasedError(f"{source}: {problem}: {REMEDY}") from None
        if new_name in renamed:
            raise ReleasedError(f"{source}: {shown(name)} occurs twice, by another name: {REMEDY}")
        renamed[new_name] = tensor
    return renamed


def _fitted(
    build: Callable[[], Network], weights: Mapping[str, Tensor], source: str, ignore: tuple[str, ...] = ()
) -> Network:
    """Build a network with these weights, on the meta device first to check their shapes."""
    with torch.device("meta"):
        parts = build().state_dict()
    wanted = {name: t for name, t in parts.items() if not any(part in name for part in ignore)}
    stored = {name: tensor_files.described(tensor) for name, tensor in weights.items()}
    problems = [*tensor_files.misfits(wanted, stored)]
    problems = problems or [f"{name} is not finite" for name, t in weights.items() if not t.isfinite().all()]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ReleasedError(f"{source} do not fit: {'; '.join(problems[:3])}{more}: {REMEDY}")
    network = build()
    network.load_state_dict(weights, strict=False)
    return network
