"""Weights of the released implementation: its parameter names, mapped to ours.

`settings` is the description that travels with such weights: the preset's name (`base`) and the sections
`camera`, `renderer`, `representation` and `generator`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator
from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.rendering.samplers import SurfaceSampler

BACKGROUND_Z = -0.12
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
# Activations count as layers there, so linear layers have even numbers.
_GENERATOR_SEQUENCES = [
    (r"representation\.rf_network\.mapping_network\.network\.(\d+)\.", "mapping.hidden."),
    (r"representation\.sample_network\.network\.(\d+)\.", "sampler.manifold.hidden."),
]
_DISCRIMINATOR_NAMES = [
    (r"layers\.(\d+)\.network\.0\.conv\.", r"blocks.\1.first."),
    (r"layers\.(\d+)\.network\.2\.conv\.", r"blocks.\1.second."),
    (r"layers\.(\d+)\.proj\.", r"blocks.\1.shortcut."),
    (r"fromRGB\.model\.0\.", "from_rgb."),
    (r"final_layer\.", "output."),
]


def generator_name(name: str, *, mapping_layers: int = 3) -> str:
    """Our name of a released generator parameter.

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
    """Our name of a released discriminator parameter.

    Raises:
        KeyError: the name is unknown.
    """
    for pattern, ours in _DISCRIMINATOR_NAMES:
        if re.match(pattern, name):
            return re.sub(pattern, ours, name)
    raise KeyError(f"{name!r} is no parameter of a released discriminator")


def load_released(state_dict: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Generator:
    """A generator with released weights; names may carry the prefix `generator.`.

    Args:
        state_dict: released names to tensors; other entries than the generator's are ignored.
        settings: see the module.

    Raises:
        KeyError: an unknown or missing parameter, or a missing setting.
        RuntimeError: a tensor of the wrong shape.
    """
    weights = {
        k.removeprefix("generator."): v
        for k, v in state_dict.items()
        if "representation." in k and k[:5] != "grad."
    }
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
        first_level=float(renderer["levels_start"]),
        last_level=float(renderer["levels_end"]),
        near=float(settings["camera"]["ray_start"]),
        far=float(settings["camera"]["ray_end"]),
        num_samples=renderer["num_samples"],
        delta=preset["delta"],
        background_z=BACKGROUND_Z if background else None,
    )
    radiance = RadianceField(width=representation["hidden_dim"], box=preset["box"])
    generator = Generator(
        radiance=radiance,
        sampler=sampler,
        fov=math.radians(settings["camera"]["fov"]),
        z_dim=settings["generator"]["z_dim"],
    )
    _load(generator, {generator_name(k): v for k, v in weights.items()}, ignore=("mean_", "manifold.centre"))
    return generator


def load_released_discriminator(state_dict: Mapping[str, Tensor], image_size: int) -> Discriminator:
    """A discriminator with released weights.

    Raises:
        KeyError: an unknown or missing parameter.
        RuntimeError: a tensor of the wrong shape.
    """
    discriminator = Discriminator(size=image_size)
    _load(discriminator, {discriminator_name(k): v for k, v in state_dict.items()})
    return discriminator


def _load(
    module: Generator | Discriminator, weights: Mapping[str, Tensor], ignore: tuple[str, ...] = ()
) -> None:
    problems = module.load_state_dict(weights, strict=False)
    missing = [k for k in problems.missing_keys if not any(part in k for part in ignore)]
    if missing or problems.unexpected_keys:
        raise KeyError(f"weights do not fit: missing {missing}, unexpected {problems.unexpected_keys}")
