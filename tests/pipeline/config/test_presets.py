"""Every experiment says what it takes, builds its networks, and trains; the paper's are the paper's."""

import math
import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
import yaml

from gram.data.format import DatasetMeta
from gram.geometry.cameras import look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses, SphericalPoses
from gram.model import folder
from gram.rendering.samplers import SurfaceSampler
from gram.training.step import Reals, fit
from pipeline.config.loader import load
from pipeline.config.presets import CONF, presets_of
from pipeline.config.schema import GROUPS, Config
from pipeline.runtime import build, scene

EXPERIMENTS = presets_of("experiment")
PAPER = {  # GRAM (CVPR 2022), as published
    "size": {"ffhq256": 256, "cats256": 256, "carla128": 128},
    "batch": {"ffhq256": 32, "cats256": 16, "carla128": 32},
    "iterations": {"ffhq256": 150_000, "cats256": 80_000, "carla128": 70_000},
    "width of the field": {"ffhq256": 256, "cats256": 256, "carla128": 256},
    "width of the manifold": {"ffhq256": 128, "cats256": 64, "carla128": 256},
    "centre of the manifold": {"ffhq256": [0, 0, -1.5], "cats256": [0, 0, -1.5], "carla128": [0, 0, 0]},
    "box": {"ffhq256": 0.24, "cats256": 0.24, "carla128": 2},
    "search points": {"ffhq256": 64, "cats256": 64, "carla128": 64},
    "levels": {"ffhq256": (23, 23, 8), "cats256": (23, 23, 8), "carla128": (48, 35, 5)},
    "points a ray": {"ffhq256": 24, "cats256": 24, "carla128": 48},
    "background": {"ffhq256": -0.12, "cats256": -0.12, "carla128": None},
    "delta": {"ffhq256": 0.04, "cats256": 0.04, "carla128": 0.02},
    "fov": {"ffhq256": 12, "cats256": 12, "carla128": 30},
    "near, far": {"ffhq256": (0.88, 1.12), "cats256": (0.88, 1.12), "carla128": (0.7, 1.3)},
    "lr of G, D, M": {
        "ffhq256": (2e-5, 2e-4, 2e-5), "cats256": (2e-5, 2e-4, 2e-5), "carla128": (2e-5, 2e-4, 2e-6),
    },
    "clip": {"ffhq256": 1, "cats256": 1, "carla128": 0.3},
    "R1": {"ffhq256": (1, 1), "cats256": (1, 1), "carla128": (1, 1)},
    "pose of fakes, of reals": {"ffhq256": (15, 15), "cats256": (15, 30), "carla128": (15, 15)},
}  # fmt: skip


def read(group: str, name: str) -> dict[str, Any]:
    return yaml.safe_load((CONF / group / f"{name}.yaml").read_text())


def meta_of(config: Config) -> DatasetMeta:
    """Of a data set as the prepare stage makes it for this configuration."""
    data = config.data
    assert data.fov_degrees is not None
    return DatasetMeta(
        kind="custom", size=data.size, fov=math.radians(data.fov_degrees), near=data.near, far=data.far,
        background=data.background, split="train", licence="", seed=None, content_hash="",
        pose={"yaw_mean": 1.57, "yaw_std": data.yaw_std, "pitch_mean": 1.57, "pitch_std": data.pitch_std},
    )  # fmt: skip


def sampler_of(config: Config) -> SurfaceSampler:
    with torch.device("meta"):
        sampler = folder.build_sampler(build.model_settings(config, meta_of(config)))
    assert isinstance(sampler, SurfaceSampler)
    return sampler


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_opens_with_command_hardware_time_and_metrics(name: str) -> None:
    lines = (CONF / "experiment" / f"{name}.yaml").read_text().partition("\npreset:")[0].splitlines()
    assert all(line.startswith("# ") for line in lines)
    assert f"python -m pipeline.prepare experiment={name}" in lines[0] or "as committed" in lines[0]
    for topic, told in (
        ("Hardware", r"GPU|core|any"),
        ("Time", r"not run|\d (s|min|h|days)\b|few seconds"),
        ("Metrics", r"not run|fid_\w+ \d|none"),
    ):
        (line,) = [line for line in lines if line.startswith(f"# {topic}: ")]
        assert re.search(told, line), line


@pytest.mark.parametrize("group", GROUPS)
def test_no_two_presets_of_a_group_are_the_same(group: str) -> None:
    contents = {name: read(group, name) for name in presets_of(group)}
    assert [pair for pair in combinations(contents, 2) if contents[pair[0]] == contents[pair[1]]] == []


def test_every_preset_belongs_to_an_experiment_or_is_for_the_command_line() -> None:
    used = {group: set[str]() for group in GROUPS}
    for name in EXPERIMENTS:
        for group, preset in read("experiment", name)["preset"].items():
            used[group].add(preset)
    unused = {(group, name) for group in GROUPS for name in presets_of(group) if name not in used[group]}
    assert unused == {("data", "images"), ("tracking", "none")}


@pytest.mark.parametrize("name", ["ffhq256", "cats256", "carla128"])
def test_the_papers_experiments_have_the_papers_numbers(name: str) -> None:
    config = load([f"experiment={name}"])
    data, model, train, sampler = config.data, config.model, config.train, config.sampler
    built = sampler_of(config)
    found = {
        "size": data.size, "batch": train.batch_size, "iterations": train.steps,
        "width of the field": model.hidden, "width of the manifold": model.manifold_hidden,
        "centre of the manifold": model.manifold_centre, "box": model.box,
        "search points": built.num_samples, "points a ray": built.points_per_ray,
        "levels": (built.surfaces, sampler.first_level, sampler.last_level),
        "background": built.background_z, "delta": sampler.delta, "fov": data.fov_degrees,
        "near, far": (built.near, built.far),
        "lr of G, D, M": (train.lr_generator, train.lr_discriminator, train.lr_manifold),
        "clip": train.grad_clip, "R1": (train.r1_weight, train.r1_every),
        "pose of fakes, of reals": (train.pose_weight, train.real_pose_weight),
    }  # fmt: skip
    assert found == {quantity: values[name] for quantity, values in PAPER.items()}


@pytest.mark.parametrize("name", ["ffhq256", "cats256", "carla128"])
def test_what_all_of_the_papers_experiments_share(name: str) -> None:
    config = load([f"experiment={name}"])
    model, train = config.model, config.train
    assert (model.z_dim, model.mapping_width, model.mapping_layers) == (256, 256, 3)
    assert (model.layers, model.view_dependent) == (8, True)
    assert (model.frequency_scale, model.frequency_offset) == (15, 30)
    assert (model.manifold_layers, model.manifold_init, config.sampler.mode) == (3, "published", "linear")
    assert (model.discriminator_width, model.discriminator_max_channels) == (1, 400)
    assert (train.betas, train.ema_decays, train.mirror) == ([0.0, 0.9], [0.999, 0.9999], True)
    assert (train.share_fakes, train.manifold_every, train.foreground) == (False, 1, None)
    assert (config.evaluate.images, config.evaluate.psi) == (20_000, 1)
    assert (config.data.kind, config.data.path) == ("images", None)


def test_the_papers_poses_are_the_papers() -> None:
    faces, cats, cars = (load([f"experiment={name}"]) for name in ("ffhq256", "cats256", "carla128"))
    normal = GaussianPoses(yaw_mean=math.pi / 2, yaw_std=0.3, pitch_mean=math.pi / 2, pitch_std=0.155)
    for config in (faces, cats):
        other = replace(meta_of(config), pose=dict.fromkeys(meta_of(config).pose, 1.0))
        assert scene.training_poses(config.data, other) == normal
    prior = scene.training_poses(cars.data, meta_of(cars))
    assert isinstance(prior, SphericalPoses)
    pitch, yaw = prior.sample(4000, generator=torch.Generator().manual_seed(0)).T
    height = (1.0 - torch.cos(pitch)) / 2.0  # the v of the paper, even between 0 and 85 / 180
    for values, low, high in ((height, 0.0, 85.0 / 180.0), (yaw, -math.pi / 2, 1.5 * math.pi)):
        assert low - 1e-6 <= float(values.min()) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < float(values.max()) <= high + 1e-6
        assert float(values.mean()) == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_builds_its_networks(name: str) -> None:
    config = load([f"experiment={name}"])
    settings = build.model_settings(config, meta_of(config))
    with torch.device("meta"):
        generator = folder.build_generator(settings)
        discriminator = folder.build_discriminator(settings)
        logits, poses = discriminator(torch.zeros(2, 3, config.data.size, config.data.size))
    assert generator.sampler.white_background == (config.data.background == "white")
    assert generator.radiance.width == config.model.hidden
    assert (logits.shape, poses.shape) == ((2,), (2, 2))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_rays_of_an_experiment_meet_all_of_its_surfaces(name: str) -> None:
    config = load([f"experiment={name}"])
    settings = build.model_settings(config, meta_of(config))
    small = {"width": 2, "layers": 2}  # all but M, which is built first, from the first random numbers
    torch.manual_seed(config.seed)
    generator = folder.build_generator({**settings, "radiance": {**settings["radiance"], **small}})
    prior = scene.training_poses(config.data, meta_of(config))
    poses = prior.sample(8, generator=torch.Generator().manual_seed(0))
    rays = pixel_rays(look_at_origin(poses), size=17, fov=generator.fov)
    assert isinstance(generator.sampler, SurfaceSampler)
    assert float(generator.sampler.hit_rates(rays).min()) > 0


def shrunken(name: str) -> Config:
    """The same code path with few pixels and narrow networks, on a CPU."""
    train = ["batch_size=2", "micro_batch=1", "precision='no'", "deterministic=true", "threads=1"]
    model = ["hidden=8", "mapping_width=8", "z_dim=8", "manifold_hidden=32", "discriminator_width=0.02"]
    options = ["data.size=8", *(f"train.{o}" for o in train), *(f"model.{o}" for o in model)]
    return load([f"experiment={name}", *options])


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_shrunken_copy_of_an_experiment_takes_a_step(name: str) -> None:
    config = shrunken(name)
    meta = meta_of(config)
    prior, rng = scene.training_poses(config.data, meta), torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (4, 3, meta.size, meta.size), generator=rng).to(torch.uint8)
    state = build.training_state(config, meta, torch.device("cpu"))
    before = {name: value.clone() for name, value in state.generator.named_parameters()}
    reals = Reals(images=images, poses=prior.sample(4, generator=rng))
    ((step, metrics),) = fit(state, reals, prior, build.training_settings(config), steps=1)
    assert step == 1
    assert {"loss/discriminator", "loss/generator", "r1", "pose/fake"} <= set(metrics)
    assert all(bool(value.isfinite()) for value in metrics.values())
    after = dict(state.generator.named_parameters())
    assert [name for name, value in before.items() if torch.equal(value, after[name])] == []
