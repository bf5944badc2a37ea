"""Numerical parity with the released implementation, on files of its inputs, weights and outputs.

The files of `tests/goldens`, and those of the folder that the environment variable GRAM_GOLDENS names.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.model.released import generator_name, load_released, load_released_discriminator
from gram.rendering.compositing import composite
from gram.training.losses import r1_penalty

EMBEDDED = Path(__file__).parents[1] / "goldens"


class Golden(NamedTuple):
    """A file's tensors and the description that it carries."""

    tensors: dict[str, Tensor]
    meta: dict[str, Any]

    @property
    def is_discriminator(self) -> bool:
        return "output.logit" in self.tensors


def read_golden(path: Path) -> Golden:
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return Golden(tensors, json.loads(file.metadata()["meta"]))


def golden_files(environment: Mapping[str, str]) -> list[Path]:
    """All golden files; a folder that is named but holds none is an error, never fewer tests."""
    folders = [EMBEDDED, *([Path(environment["GRAM_GOLDENS"])] if "GRAM_GOLDENS" in environment else [])]
    files: list[Path] = []
    for folder in folders:
        here = sorted(folder.glob("*.safetensors"))
        if not here:
            raise FileNotFoundError(f"goldens: {str(folder)!r} has no *.safetensors file or does not exist")
        files += here
    return files


FILES = golden_files(os.environ)
BY_KIND = {kind: [f for f in FILES if read_golden(f).is_discriminator == kind] for kind in (True, False)}


@pytest.fixture(scope="module", params=BY_KIND[False], ids=lambda path: path.stem)
def golden(request: pytest.FixtureRequest) -> Golden:
    return read_golden(request.param)


@pytest.fixture(scope="module", params=BY_KIND[True], ids=lambda path: path.stem)
def discriminator_golden(request: pytest.FixtureRequest) -> Golden:
    return read_golden(request.param)


def weights_of_formula(shapes: Mapping[str, list[int]]) -> dict[str, Tensor]:
    """The discriminator's weights, by the formula in the metadata: seed k for the k-th tensor."""
    weights = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        scale = math.sqrt(2.0 / math.prod(shape[1:])) if len(shape) > 1 else 0.1
        values = scale * np.random.RandomState(seed).standard_normal(math.prod(shape))
        weights[name] = torch.from_numpy(values.astype(np.float32).reshape(shape))
    return weights


def relative(ours: Tensor, theirs: Tensor) -> float:
    """Norm of the difference over the norm of theirs, in float64; what is zero there is zero here."""
    ours, theirs = ours.detach().double(), theirs.double()
    if theirs.norm() == 0:
        return math.inf if ours.norm() > 0 else 0.0
    return float((ours - theirs).norm() / theirs.norm())


def test_both_kinds_of_goldens_are_found() -> None:
    assert BY_KIND[True] and BY_KIND[False]
    assert {file.parent for file in FILES} >= {EMBEDDED}


def test_image_and_depth_agree_within_1e_4(golden: Golden) -> None:
    size = golden.meta["img_size"]
    rendered = load_released(golden.tensors, golden.meta).render(
        golden.tensors["input.z"], golden.tensors["input.pitch_yaw"], size=size
    )
    theirs = golden.tensors["output.image"]
    assert theirs.std() > 0.01  # an empty picture would agree with anything empty
    torch.testing.assert_close(rendered.image, theirs, rtol=0, atol=1e-4)
    depth = golden.tensors["output.depth"].view(-1, size, size)
    defined = depth.isfinite()  # a ray that meets nothing has none there
    torch.testing.assert_close(rendered.depth[defined], depth[defined], rtol=0, atol=1e-4)
    assert rendered.depth.isfinite().all()


def gradient_errors(golden: Golden, *, half: torch.dtype | None = None) -> tuple[dict[str, float], Tensor]:
    """Relative error of the gradient of every parameter, and the loss."""
    generator = load_released(golden.tensors, golden.meta)
    generator.radiance.matmul_dtype = half
    image = generator(
        golden.tensors["input.z"], golden.tensors["input.pitch_yaw"], size=golden.meta["img_size"]
    )
    loss = (image * golden.tensors["input.probe"]).sum()
    loss.backward()
    theirs = {
        generator_name(name.removeprefix("grad.")): gradient
        for name, gradient in golden.tensors.items()
        if name.startswith("grad.")
    }
    assert set(theirs) <= {name for name, _ in generator.named_parameters()}
    errors = {
        name: relative(
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad,
            theirs.get(name, torch.zeros_like(parameter)),
        )
        for name, parameter in generator.named_parameters()
    }
    return errors, loss.detach()


def test_gradient_of_every_parameter_agrees_within_1e_3(golden: Golden) -> None:
    errors, loss = gradient_errors(golden)
    assert {name: error for name, error in errors.items() if not error <= 1e-3} == {}
    torch.testing.assert_close(loss.view(1), golden.tensors["output.loss"], rtol=1e-3, atol=1e-2)


def test_in_half_precision_the_image_agrees_within_5e_3_and_gradients_within_2e_2(golden: Golden) -> None:
    """Measured on faces-small: 2.8e-4, and 5.8e-3 at the worst."""
    generator = load_released(golden.tensors, golden.meta)
    generator.radiance.matmul_dtype = torch.float16
    rendered = generator.render(
        golden.tensors["input.z"], golden.tensors["input.pitch_yaw"], size=golden.meta["img_size"]
    )
    torch.testing.assert_close(rendered.image, golden.tensors["output.image"], rtol=0, atol=5e-3)
    errors, _ = gradient_errors(golden, half=torch.float16)
    assert {name: error for name, error in errors.items() if not error <= 2e-2} == {}


class PerSample(NamedTuple):
    """Of the visible samples of every ray, front to back; (batch, size, size, n, channels)."""

    distance: Tensor
    weights: Tensor
    points: Tensor
    rgb_sigma: Tensor


def visible_first(samples: PerSample) -> PerSample:
    """Sort along a ray by distance, samples of no weight last."""
    key = torch.where(samples.weights > 0, samples.distance, math.inf)
    order = key.argsort(dim=-2, stable=True)
    return PerSample(*(value.gather(-2, order.expand_as(value)) for value in samples))


@torch.no_grad()
def our_samples(golden: Golden) -> PerSample:
    generator = load_released(golden.tensors, golden.meta)
    poses = golden.tensors["input.pitch_yaw"]
    shape = (len(poses), golden.meta["img_size"], golden.meta["img_size"], generator.sampler.points_per_ray)
    rays = pixel_rays(look_at_origin(poses), size=golden.meta["img_size"], fov=generator.fov)
    samples = generator.sampler.sample(rays)
    points = rays.at(samples.t)
    rgb, density = generator.radiance(
        points.flatten(1, 2),
        rays.directions[:, :, None].expand_as(points).flatten(1, 2),
        generator.mapping(golden.tensors["input.z"]),
    )
    alpha = generator.sampler.occupancy(samples, density.view_as(samples.t))
    weights = composite(samples.t, rgb.view_as(points), alpha, far=generator.sampler.far).weights
    each = (samples.t, weights, points, torch.cat([rgb, density[..., None]], -1))
    return PerSample(*(value.reshape(*shape, -1) for value in each))


def test_every_visible_sample_agrees(golden: Golden) -> None:
    theirs = visible_first(PerSample(*(golden.tensors[f"output.{name}"] for name in PerSample._fields)))
    ours = visible_first(our_samples(golden))
    visible = theirs.weights > 0
    assert visible.any()
    torch.testing.assert_close(ours.weights[visible], theirs.weights[visible], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        ours.weights[~visible], torch.zeros_like(ours.weights[~visible]), rtol=0, atol=1e-9
    )
    torch.testing.assert_close(ours.distance[visible], theirs.distance[visible], rtol=0, atol=1e-5)
    for name in ("points", "rgb_sigma"):
        mine, reference = getattr(ours, name), getattr(theirs, name)
        mask = visible.expand_as(reference)
        torch.testing.assert_close(mine[mask], reference[mask], rtol=1e-4, atol=1e-4)


def test_logit_pose_and_r1_of_the_discriminator_agree_within_1e_4(discriminator_golden: Golden) -> None:
    tensors, meta = discriminator_golden
    discriminator = load_released_discriminator(weights_of_formula(meta["state_dict"]), meta["img_size"])
    images = tensors["input.image"].requires_grad_()
    logits, poses = discriminator(images)
    assert relative(logits, tensors["output.logit"].flatten()) <= 1e-4
    assert relative(poses, tensors["output.pose"]) <= 1e-4
    torch.testing.assert_close(logits[:, None], tensors["output.logit"], rtol=1e-4, atol=0)
    assert relative(r1_penalty(logits, images).view(1), tensors["output.r1"]) <= 1e-4


@pytest.mark.parametrize("content", [None, [], ["notes.txt"]], ids=["missing", "empty", "without goldens"])
def test_a_named_folder_without_goldens_is_an_error(tmp_path: Path, content: list[str] | None) -> None:
    folder = tmp_path / "more"
    for name in content or []:
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
    if content == []:
        folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"more' has no \*\.safetensors file or does not exist"):
        golden_files({"GRAM_GOLDENS": str(folder)})


def test_an_empty_variable_is_an_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"'\.' has no"):
        golden_files({"GRAM_GOLDENS": ""})


def test_a_named_folder_adds_its_files(tmp_path: Path) -> None:
    more = tmp_path / "other-preset.safetensors"
    more.symlink_to(EMBEDDED / "faces-small.safetensors")
    assert golden_files({"GRAM_GOLDENS": str(tmp_path)}) == [*golden_files({}), more]
