"""A model so small that every test can afford it, and one like it with something to see."""

import copy
import math
from typing import Any

import torch

from gram.model.folder import build_generator
from gram.model.generator import Generator

_SETTINGS: dict[str, Any] = {
    "generator": {"fov": math.radians(12), "z_dim": 8, "mapping_width": 16, "mapping_layers": 2},
    "radiance": {"width": 16, "layers": 3, "box": 0.24},
    "manifold": {"width": 32, "hidden_layers": 2, "centre": [0.0, 0.0, -1.5], "init": "sphere"},
    "sampler": {
        "kind": "manifold", "levels": 4, "first_level": 23.0, "last_level": 8.0,
        "near": 0.88, "far": 1.12, "num_samples": 12, "delta": 0.04,
    },
    "discriminator": {"size": 8, "width": 0.02},
}  # fmt: skip


def small_settings(**changes: dict[str, Any]) -> dict[str, Any]:
    """A copy that the caller may change, with `changes` to its sections."""
    settings = copy.deepcopy(_SETTINGS)
    for section, values in changes.items():
        settings.setdefault(section, {}).update(values)
    return settings


def smooth_settings(**sampler: Any) -> dict[str, Any]:
    """Of a field that varies slowly on round, hardly transparent surfaces, met exactly, before a plane."""
    return small_settings(
        radiance={"frequency_scale": 2.0, "frequency_offset": 4.0},
        manifold={"width": 128, "hidden_layers": 1},
        sampler={"num_samples": 64, "mode": "refined", "delta": 0.6, "background_z": -0.12} | sampler,
    )


def vivid_generator(settings: dict[str, Any], *, layers: float, heads: float) -> Generator:
    """An untrained one whose images differ: `layers` times the frequencies, `heads` times the contrast."""
    torch.manual_seed(0)
    generator = build_generator(settings)
    with torch.no_grad():
        for layer in generator.radiance.layers:
            layer.weight.mul_(layers)
        for head in (*generator.radiance.color_heads, *generator.radiance.density_heads):
            head.weight.mul_(heads)
    return generator
