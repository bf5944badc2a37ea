"""Released names map one to one; weights that do not fit are refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gram.model.released import (
    ReleasedError,
    discriminator_name,
    generator_name,
    load_released,
    load_released_discriminator,
)
from gram.rendering.samplers import SurfaceSampler

GOLDENS = Path(__file__).parents[2] / "goldens"


def read(name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    with safe_open(GOLDENS / name, "pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["meta"])


@pytest.fixture
def released() -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, meta = read("faces-small.safetensors")
    return {k: v for k, v in tensors.items() if k.startswith("generator.")}, meta


@pytest.fixture(scope="module")
def discriminator_weights() -> dict[str, Tensor]:
    _, meta = read("discriminator-32.safetensors")
    return {name: torch.full(shape, 0.01 * k) for k, (name, shape) in enumerate(meta["state_dict"].items())}


def test_every_generator_name_has_its_own_parameter_and_value(released) -> None:
    weights, meta = released
    generator = load_released(weights, meta)
    ours = dict(generator.named_parameters())
    names = {k: generator_name(k.removeprefix("generator.")) for k in weights}
    assert sorted(names.values()) == sorted(ours)
    assert all(torch.equal(ours[ours_name], weights[name]) for name, ours_name in names.items())


def test_every_discriminator_name_has_its_own_parameter_and_value(discriminator_weights) -> None:
    ours = dict(load_released_discriminator(discriminator_weights, 32).named_parameters())
    names = {k: discriminator_name(k) for k in discriminator_weights}
    assert sorted(names.values()) == sorted(ours)
    for name, ours_name in names.items():
        assert torch.equal(ours[ours_name], discriminator_weights[name]), name


def test_the_prefix_is_optional_and_other_entries_are_ignored(released) -> None:
    weights, meta = released
    bare = {k.removeprefix("generator."): v for k, v in weights.items()}
    bare |= {"grad." + k: torch.zeros(1) for k in bare} | {"input.z": torch.zeros(1)}
    first, second = load_released(weights, meta).state_dict(), load_released(bare, meta).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_faces_have_their_published_geometry(released) -> None:
    generator = load_released(*released)
    sampler = generator.sampler
    assert isinstance(sampler, SurfaceSampler)
    assert generator.fov == math.radians(12)
    assert sampler.values.tolist() == torch.linspace(23, 8, 7).tolist()
    torch.testing.assert_close(sampler.deltas, torch.tensor([0.04] * 7 + [1e10]))
    assert (sampler.near, sampler.far, sampler.num_samples, sampler.mode) == (0.88, 1.12, 24, "linear")
    assert sampler.background_z == -0.12
    assert generator.radiance.box == 0.24
    assert sampler.manifold.centre.tolist() == [0.0, 0.0, -1.5]


def test_cars_have_theirs(released) -> None:
    weights, meta = released
    meta = {**meta, "base": "CARLA_default", "camera": {"fov": 30, "ray_start": 0.7, "ray_end": 1.3}}
    meta["renderer"] = {
        "num_samples": 64, "num_manifolds": 48, "levels_start": 35, "levels_end": 5,
        "background": False, "white_back": True, "last_back": False,
    }  # fmt: skip
    meta["representation"] = {**meta["representation"], "center": [0, 0, 0]}
    generator = load_released(weights, meta)
    sampler = generator.sampler
    assert isinstance(sampler, SurfaceSampler)
    assert generator.fov == math.radians(30)
    assert sampler.values.tolist() == torch.linspace(35, 5, 48).tolist()
    torch.testing.assert_close(sampler.deltas, torch.full((48,), 0.02))
    assert (sampler.near, sampler.far, sampler.num_samples) == (0.7, 1.3, 64)
    assert sampler.white_background
    assert generator.radiance.box == 2.0
    assert sampler.manifold.centre.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["representation.rf_network.other.weight", "fromRGB.model.0.weight", ""])
def test_an_unknown_generator_name_is_refused(name: str) -> None:
    with pytest.raises(KeyError, match="is no parameter of a released generator"):
        generator_name(name)


@pytest.mark.parametrize("name", ["layers.0.other.weight", "mapping.weight", ""])
def test_an_unknown_discriminator_name_is_refused(name: str) -> None:
    with pytest.raises(KeyError, match="is no parameter of a released discriminator"):
        discriminator_name(name)


def test_an_unknown_missing_or_misshapen_generator_tensor_is_refused(released) -> None:
    weights, meta = released
    name = "generator.representation.rf_network.network.3.layer.weight"
    with pytest.raises(ReleasedError, match=r"representation\.new' is no parameter of a released generator"):
        load_released({**weights, "generator.representation.new": torch.zeros(1)}, meta)
    with pytest.raises(ReleasedError, match=r"weights do not fit: radiance\.layers\.3\.weight is missing"):
        load_released({k: v for k, v in weights.items() if k != name}, meta)
    with pytest.raises(ReleasedError, match=r"radiance\.layers\.3\.weight has shape \(3, 3\), not"):
        load_released({**weights, name: torch.zeros(3, 3)}, meta)


def test_an_unknown_missing_or_misshapen_discriminator_tensor_is_refused(discriminator_weights) -> None:
    name = "final_layer.bias"
    with pytest.raises(ReleasedError, match="'new' is no parameter of a released discriminator"):
        load_released_discriminator({**discriminator_weights, "new": torch.zeros(1)}, 32)
    with pytest.raises(ReleasedError, match=r"weights do not fit: output\.bias is missing"):
        load_released_discriminator({k: v for k, v in discriminator_weights.items() if k != name}, 32)
    with pytest.raises(ReleasedError, match=r"output\.bias has shape \(5,\), not"):
        load_released_discriminator({**discriminator_weights, name: torch.zeros(5)}, 32)


@pytest.mark.parametrize("section", ["camera", "renderer", "representation", "generator", "base"])
def test_a_missing_setting_is_refused_by_name(released, section: str) -> None:
    weights, meta = released
    with pytest.raises(ReleasedError, match=section):
        load_released(weights, {k: v for k, v in meta.items() if k != section})
