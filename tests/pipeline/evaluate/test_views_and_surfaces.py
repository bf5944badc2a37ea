"""What an evaluation finds about views, poses and surfaces, on a small data set and an untrained model."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gram.data.reader import ImageDataset
from gram.model.folder import build_generator
from gram.model.latents import write_latents
from pipeline.config.loader import load
from pipeline.evaluate import consistency, poses, surfaces
from pipeline.evaluate.inversions import LATENTS
from pipeline.evaluate.part import EvaluatedModel, Part, PartResult
from pipeline.runtime import build, scene

Make = Callable[..., EvaluatedModel]


@pytest.fixture
def make(data: list[str], tmp_path: Path) -> Make:
    """A subject by its options: an untrained generator and the small data set."""

    def made(*options: str) -> EvaluatedModel:
        paths = [f"paths.evaluate='{tmp_path}/out'", f"paths.checkpoints='{tmp_path}/work'"]
        config = load(["experiment=tiny", *data, *paths, *options])
        dataset = ImageDataset(config.paths.train_data)
        described = build.model_settings(config, dataset.meta)
        torch.manual_seed(0)
        generator = build_generator(described).eval().requires_grad_(False)
        for head in generator.radiance.density_heads:
            head.bias.add_(3.0)  # something to see in front of the background
        return EvaluatedModel(
            config=config,
            generator=generator,
            described=described,
            dataset=dataset,
            held_out=ImageDataset(config.paths.test_data),
            prior=scene.training_poses(config.data, dataset.meta),
        )

    return made


def found(part: Part, subject: EvaluatedModel, name: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Values and protocol of a part that measured something; what any such finding has to be."""
    finding = part(subject)
    assert not finding.skipped
    assert finding.values and all(map(math.isfinite, finding.values.values()))
    assert list(finding.images) == [name]
    picture = finding.images[name]
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 0
    return dict(finding.values), json.loads(json.dumps(finding.protocol_entry))


@pytest.mark.parametrize(
    ("part", "option", "name"),
    [
        (consistency.measure, "consistency_latents", "consistency"),
        (poses.measure, "pose_images", "poses"),
        (surfaces.measure, "surfaces_views", "surfaces"),
    ],
)
def test_what_is_not_asked_for_is_skipped_and_leaves_a_blank_picture(
    make: Make, part: Part, option: str, name: str
) -> None:
    finding: PartResult = part(make(f"evaluate.{option}=0"))
    assert finding.skipped == f"evaluate.{option} = 0"
    assert not finding.values
    assert list(finding.images) == [name]


def test_consistency_has_errors_by_distance_and_those_of_real_pictures(make: Make) -> None:
    values, protocol = found(consistency.measure, make("evaluate.consistency_views=4"), "consistency")
    assert {"error_1", "coverage_1", "spread", "texture_lock", "unrelated_error_1"} <= set(values)
    assert {"coverage_2", "coverage_3"} <= set(values)
    assert not {"error_4", "coverage_4"} & set(values)
    assert any(name.startswith("truth_error") for name in values)
    assert all(0.0 <= value <= 1.0 for name, value in values.items() if "error" in name or "coverage" in name)
    assert protocol["views"] == 4
    step = protocol["degrees_between_neighbours"]
    assert 3 * step == pytest.approx(protocol["turn_degrees"], rel=0.05)


def test_without_true_depth_samples_are_compared_alone(make: Make) -> None:
    values, protocol = found(consistency.measure, replace(make(), held_out=None), "consistency")
    assert not any(name.startswith("truth") for name in values)
    assert protocol["truth"] == "there are no held-out images"


def test_pairs_go_both_ways_and_are_equally_far_apart() -> None:
    assert set(consistency._pairs(4, 2)) == {(0, 2), (2, 0), (1, 3), (3, 1)}
    assert len(list(consistency._pairs(7, 1))) == 12


def test_poses_are_measured_beside_the_networks_own_error(make: Make) -> None:
    values, protocol = found(poses.measure, make("evaluate.pose_images=12"), "poses")
    for axis in ("pitch", "yaw"):
        assert {f"{axis}_{what}" for what in ("error", "floor", "unrelated", "bias")} <= set(values)
        assert 0.0 <= values[f"{axis}_error"] <= 180.0
    assert protocol["floor"].endswith("held-out images")
    assert protocol["samples"] == 12


def test_without_held_out_pictures_some_of_the_training_pictures_are_held_back(make: Make) -> None:
    subject = replace(make(), held_out=None)
    count = len(subject.dataset)
    assert count >= poses.HELD_BACK
    _, protocol = found(poses.measure, subject, "poses")
    assert protocol["floor"] == f"error on {count // 10} training images that were held back"
    assert protocol["network"]["pictures"] == count - count // 10


def test_a_second_evaluation_does_not_train_the_pose_network_again(make: Make, tmp_path: Path) -> None:
    subject = make()
    first, _ = found(poses.measure, subject, "poses")
    (folder,) = (tmp_path / "work/pose_network").iterdir()
    weights = folder / "pose_network.safetensors"
    before = weights.stat().st_mtime_ns
    again, _ = found(poses.measure, subject, "poses")
    assert again == first
    assert weights.stat().st_mtime_ns == before
    assert json.loads((folder / "pose_network.json").read_text())["steps"] == 4
    found(poses.measure, make("evaluate.pose_steps=5"), "poses")
    assert len(list((tmp_path / "work/pose_network").iterdir())) == 2, "other settings, another network"


def test_surfaces_are_told_by_level(make: Make) -> None:
    subject = make("evaluate.inversion_identities=0")
    values, protocol = found(surfaces.measure, subject, "surfaces")
    levels = subject.described["sampler"]["levels"]
    for what in ("hits", "weight"):
        assert {f"{what}_{i:02}" for i in range(levels)} <= set(values)
    weights = sum(value for name, value in values.items() if name.startswith("weight"))
    assert weights == pytest.approx(1.0, abs=1e-5)
    assert values["opacity"] == pytest.approx(1.0 - values["weight_plane"], abs=1e-5)
    assert protocol["not_measured"] == {"distances": "there are no inversions of images with true depth"}


def test_distances_from_the_truth_are_those_of_the_inversions(make: Make) -> None:
    subject = make()
    z = torch.randn(1, subject.generator.z_dim, generator=torch.Generator().manual_seed(0))
    write_latents(Path(subject.config.paths.evaluate) / LATENTS, z)
    values, protocol = found(surfaces.measure, subject, "surfaces")
    assert 0.0 <= values["nearest_distance"] <= values["heaviest_distance"] < 0.24
    assert abs(values["heaviest_bias"]) <= values["heaviest_distance"]
    assert protocol["distances_measured_on"].startswith("inversions of 1 held-out")


@pytest.mark.parametrize("kind", ["stratified", "hierarchical"])
def test_of_a_volume_sampler_there_is_opacity_alone(make: Make, kind: str) -> None:
    values, protocol = found(surfaces.measure, make(f"sampler.kind={kind}"), "surfaces")
    assert set(values) == {"opacity"}
    assert "samples a volume: it has no surfaces" in protocol["not_measured"]["levels"]
    views, _ = found(consistency.measure, make(f"sampler.kind={kind}"), "consistency")
    assert "coverage_1" in views
