"""What `pipeline.runtime.build` refuses."""

import pytest
import torch

from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_generator
from pipeline.config.loader import load
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
    with pytest.raises(ValueError, match=r"train.foreground = 0.5, but behind these pictures is white"):
        build.training_state(config, scene.planned_meta(config.data), torch.device("cpu"))
