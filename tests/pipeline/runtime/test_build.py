"""Options reach the networks and the training step; what `pipeline.runtime.build` refuses."""

import inspect
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
import torch

from gram.geometry.poses import GaussianPoses
from gram.model import settings
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator
from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.networks.sampling_network import RayNetwork
from gram.training.state import TrainingSettings
from pipeline.config.loader import load
from pipeline.config.options import all_options
from pipeline.runtime import build, scene
from pipeline.runtime.build import require_reachable_levels

SETTINGS = {
    "generator": {"fov": 0.209, "z_dim": 4, "mapping_width": 4, "mapping_layers": 1},
    "radiance": {"width": 4, "layers": 2},
    "manifold": {"width": 64, "hidden_layers": 2, "centre": [0.0, 0.0, -1.5], "init": "sphere"},
    "sampler": {"kind": "manifold", "levels": 3, "first_level": 23.0, "last_level": 8.0}
    | {"near": 0.88, "far": 1.12, "num_samples": 12, "delta": 0.1},
}  # fmt: skip


def test_levels_inside_the_field_are_accepted() -> None:
    require_reachable_levels(build_generator(SETTINGS), GaussianPoses())


def test_levels_that_no_ray_meets_are_named_with_the_range_that_can_be_met() -> None:
    generator = build_generator(
        {**SETTINGS, "sampler": {**SETTINGS["sampler"], "first_level": 60.0, "levels": 2}}
    )
    with pytest.raises(
        ValueError,
        match=r"isosurfaces of level 60: .* from \d+\.\d+ to \d+\.?\d*\. Choose sampler\.first_level",
    ):
        require_reachable_levels(generator, GaussianPoses())


def test_a_constant_field_has_no_isosurface_at_all() -> None:
    generator = build_generator(SETTINGS)
    with torch.no_grad():
        for parameter in generator.sampler.parameters():
            parameter.zero_()
    with pytest.raises(ValueError, match=r"level 23, 15\.5, 8: .* from 0 to 0"):
        require_reachable_levels(generator, GaussianPoses())


def test_a_foreground_before_white_is_refused() -> None:
    config = load(["experiment=cars128", "train.foreground=0.5"])
    with pytest.raises(ValueError, match=r"train.foreground = 0.5, but these images have a white background"):
        build.training_state(config, scene.planned_meta(config.data), torch.device("cpu"))


TRAIN_VALUES: dict[str, Any] = {
    "batch_size": 6, "micro_batch": 3, "patches": 4, "precision": "bf16", "lr_generator": 0.1,
    "lr_discriminator": 0.2, "lr_manifold": 0.3, "betas": (0.1, 0.8), "grad_clip": 7.0, "r1_weight": 2.0,
    "r1_every": 9, "pose_weight": 3.0, "real_pose_weight": 4.0, "foreground": 0.4, "foreground_weight": 0.6,
    "border_weight": 0.7, "edge_weight": 0.8, "ema_decays": (0.5, 0.6), "mirror": False, "share_fakes": True,
    "manifold_every": 8,
}  # fmt: skip


def test_every_field_of_the_training_settings_is_that_of_its_option() -> None:
    def typed(value: object) -> object:
        return list(value) if isinstance(value, tuple) else str(value).lower()

    config = load(["experiment=tiny", "seed=5", *(f"train.{k}={typed(v)}" for k, v in TRAIN_VALUES.items())])
    assert build.training_settings(config) == TrainingSettings(**TRAIN_VALUES, seed=5)


def test_a_field_of_the_training_settings_has_an_option_and_a_value_in_the_test_above() -> None:
    names = {field.name for field in fields(TrainingSettings)}
    assert names == {*TRAIN_VALUES, "seed"}
    assert {f"train.{name}" for name in TRAIN_VALUES} <= set(all_options())


PARTS: dict[str, tuple[type, type, set[str]]] = {
    "generator": (Generator, settings.GeneratorSettings, {"radiance", "sampler"}),
    "radiance": (RadianceField, settings.RadianceSettings, set()),
    "manifold": (ManifoldPredictor, settings.ManifoldSettings, set()),
    "ray_network": (RayNetwork, settings.RayNetworkSettings, {"points"}),
    "discriminator": (Discriminator, settings.DiscriminatorSettings, set()),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_argument_of_a_network_is_described_and_given(part: str) -> None:
    network, described, of_others = PARTS[part]
    arguments = set(inspect.signature(network).parameters) - of_others
    assert arguments == set(get_type_hints(described))
    config = load(["experiment=tiny"])
    given = build.model_settings(config, scene.planned_meta(config.data))[part]
    assert arguments == {*given, *build.OF_TRAINING} & arguments


def test_an_argument_without_an_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(["experiment=tiny"])
    monkeypatch.setitem(settings.RadianceSettings.__annotations__, "sharpness", float)
    with pytest.raises(AttributeError, match="sharpness"):
        build.model_settings(config, scene.planned_meta(config.data))


def test_renamed_options_reach_their_network() -> None:
    sizes = {
        "hidden": 5, "layers": 3, "manifold_hidden": 6, "manifold_layers": 2, "ray_hidden": 7,
        "ray_layers": 4, "ray_frequencies": 1, "discriminator_width": 0.5, "discriminator_max_channels": 9,
        "z_dim": 11,
    }  # fmt: skip
    config = load(["experiment=tiny", *(f"model.{name}={value}" for name, value in sizes.items())])
    given = build.model_settings(config, scene.planned_meta(config.data))
    assert (given["radiance"]["width"], given["radiance"]["layers"]) == (5, 3)
    assert (given["manifold"]["width"], given["manifold"]["hidden_layers"]) == (6, 2)
    assert given["ray_network"] == {"width": 7, "layers": 4, "frequencies": 1}
    assert given["generator"]["z_dim"] == 11
    assert given["discriminator"] == {"size": config.data.size, "width": 0.5, "max_channels": 9}
