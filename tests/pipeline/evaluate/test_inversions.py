"""What an evaluation finds by inversions, on a small data set with the truth and on ones that lack it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.data.reader import ImageDataset
from gram.model.folder import build_generator
from gram.model.latents import read_latents
from pipeline.config.loader import load
from pipeline.evaluate.held_out import first_identities
from pipeline.evaluate.inversions import measure
from pipeline.evaluate.part import EvaluatedModel, PartResult
from pipeline.runtime import build, scene

OF_IMAGES = {"psnr", "ssim", "fitted_psnr", "start_psnr"}
OF_DEPTH = {"depth_error", "depth_correlation", "normal_error", "mask_iou", "whole_picture_mask_iou"}
OF_SURFACES = {"chamfer", "f_score"}


@pytest.fixture
def subject(data: list[str], tmp_path: Path) -> EvaluatedModel:
    """An untrained generator and the small data set, of which this test has a copy."""
    config = load(["experiment=tiny", *data, f"paths.evaluate='{tmp_path}/out'"])
    dataset = ImageDataset(config.paths.train_data)
    described = build.model_settings(config, dataset.meta)
    torch.manual_seed(0)
    generator = build_generator(described).eval().requires_grad_(False)
    generator.update_mean_film()
    for head in generator.radiance.density_heads:
        head.bias.add_(20.0)  # something to see in front of the background
    shutil.copytree(config.paths.test_data, tmp_path / "test")
    return EvaluatedModel(
        config=config,
        generator=generator,
        described=described,
        dataset=dataset,
        held_out=ImageDataset(tmp_path / "test"),
        prior=scene.training_poses(config.data, dataset.meta),
    )


def latents(subject: EvaluatedModel) -> Path:
    return Path(subject.config.paths.evaluate) / "inversions.safetensors"


def without(subject: EvaluatedModel, tmp_path: Path, part: str) -> EvaluatedModel:
    shutil.rmtree(tmp_path / "test" / part)
    return replace(subject, held_out=ImageDataset(tmp_path / "test"))


def own(finding: PartResult) -> set[str]:
    """Names of numbers, those of the references left out."""
    return {name for name in finding.values if not name.startswith(("average_", "tuned_"))}


def test_everything_is_measured_where_the_truth_is_known(subject: EvaluatedModel) -> None:
    finding = measure(subject)
    assert not finding.skipped
    assert OF_IMAGES | OF_DEPTH <= own(finding)
    assert {"average_psnr", "average_mask_iou", "tuned_psnr", "tuned_fitted_psnr"} <= set(finding.values)
    assert np.isfinite(list(finding.values.values())).all()
    assert finding.values["fitted_psnr"] < finding.values["tuned_fitted_psnr"]
    assert finding.images["inversions"].dtype == np.uint8
    assert finding.images["inversions"].std() > 0
    assert json.loads(json.dumps(finding.protocol_entry))["identities"] == [0]
    assert finding.protocol["not_measured"] == {}
    assert read_latents(latents(subject), z_dim=subject.generator.z_dim).shape[0] == 1


def test_the_same_seed_finds_the_same(subject: EvaluatedModel) -> None:
    first, again = measure(subject), measure(subject)
    assert first.values == again.values
    assert np.array_equal(first.images["inversions"], again.images["inversions"])


def test_without_depth_nothing_is_said_of_depth(subject: EvaluatedModel, tmp_path: Path) -> None:
    finding = measure(without(subject, tmp_path, "depth"))
    assert OF_IMAGES <= own(finding)
    assert not {name for name in finding.values for part in OF_DEPTH if name.endswith(part)}
    assert list(finding.protocol["not_measured"]) == ["depth, normals and outlines"]


def test_without_meshes_nothing_is_said_of_surfaces(subject: EvaluatedModel, tmp_path: Path) -> None:
    finding = measure(without(subject, tmp_path, "meshes"))
    assert OF_IMAGES | OF_DEPTH <= own(finding)
    assert not {name for name in finding.values for part in OF_SURFACES if name.endswith(part)}
    assert list(finding.protocol["not_measured"]) == ["surfaces"]


def test_a_model_without_foreground_has_no_depth_rather_than_a_wrong_one(subject: EvaluatedModel) -> None:
    for head in subject.generator.radiance.density_heads:
        head.bias.sub_(40.0)
    finding = measure(subject)
    assert finding.values["mask_iou"] == 0.0
    assert "depth_error" not in finding.values
    assert "normal_error" not in finding.values
    assert "depth and normals" in finding.protocol["not_measured"]


@pytest.mark.parametrize("missing", ["pictures", "identities", "views", "wish"])
def test_what_cannot_be_measured_is_skipped_in_words(
    subject: EvaluatedModel, tmp_path: Path, missing: str
) -> None:
    settings = subject.config.evaluate
    match missing:
        case "pictures":
            subject, words = replace(subject, held_out=None), "there are no held-out images"
        case "identities":
            path = tmp_path / "test/dataset.json"
            path.write_text(json.dumps({"labels": json.loads(path.read_text())["labels"]}))
            subject = replace(subject, held_out=ImageDataset(tmp_path / "test"))
            words = "the held-out images have no identities"
        case "views":
            settings.inversion_views, words = 3, "no held-out head or car has more than 3 views"
        case _:
            settings.inversion_identities, words = 0, "evaluate.inversion_identities = 0"
    finding = measure(subject)
    assert finding.skipped.startswith(words)
    assert finding.values == {}
    assert set(finding.images) == {"inversions"}  # blank: DVC wants what a stage promises
    with pytest.raises(ValueError, match="holds latents of shape"):
        read_latents(latents(subject), z_dim=subject.generator.z_dim)


def test_the_most_frontal_view_comes_first_and_brings_its_own_depth(subject: EvaluatedModel) -> None:
    dataset = subject.held_out
    assert dataset is not None
    (one,) = first_identities(dataset, 1, views=2)
    off_axis = (one.poses - torch.pi / 2).norm(dim=1)
    assert torch.equal(off_axis, off_axis.sort().values)
    index = int((dataset.poses == one.poses[0]).all(1).nonzero()[0])
    truth = dataset.depth(index)
    assert one.depth is not None
    assert truth is not None
    assert torch.equal(one.depth[0].nan_to_num(), truth.nan_to_num())
    assert torch.equal(one.images[0], dataset[index][0].float() / 127.5 - 1.0)
    assert one.mesh is not None
    assert len(first_identities(dataset, 99, views=3)) == 2
    assert first_identities(dataset, 99, views=4) == []
