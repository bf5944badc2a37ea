"""Whether a search can be made: every point is composed, and looked at, before anything starts."""

import torch

from gram import models
from gram.generator import Generator
from gram.poses import PosePrior
from pipeline import build, scene
from pipeline.options import ConfigError
from pipeline.sweeping import space as spaces
from pipeline.sweeping.request import Request, in_words

FEW_POSES = 16
"""Cameras that suffice to see what is not missed."""


def check(request: Request) -> None:
    """Refuse a search that cannot be made, or a point of it that no trial can take.

    Raises:
        ConfigError: naming the point and what is wrong with it.
    """
    sweep, config = request.settings.sweep, request.config
    if not request.name or "/" in request.name or request.name.startswith("."):
        raise ConfigError(f"sweep.name = {request.name!r}: it names a folder in {sweep.folder}")
    if sweep.search != "grid" and sweep.num_trials is None:
        raise ConfigError(f"sweep.search = {sweep.search} needs their number: set sweep.num_trials")
    if sweep.search == "grid" and sweep.num_trials is not None:
        raise ConfigError("sweep.num_trials: a grid has as many trials as combinations; leave it out")
    if sweep.objective is None and not config.train.measure_every:
        raise ConfigError(
            "nothing tells which trial is best: set train.measure_every, the steps between distances "
            "to real pictures, or sweep.objective"
        )
    if config.train.launch.machines > 1:
        raise ConfigError("train.launch.machines: a trial has one machine; Ray shares out the machines")
    if sweep.scheduler == "pbt":
        _check_population(request)
    _check_points(request)


def _check_population(request: Request) -> None:
    if request.config.train.measure_every == 0:
        raise ConfigError("sweep.scheduler = pbt compares while trials train: set train.measure_every")
    for name in request.space:
        if not name.startswith("train."):
            raise ConfigError(
                f"space: {name}: pbt changes values while a trial goes on, which only options of train allow"
            )


def _check_points(request: Request) -> None:
    """Compose every point, and look where isosurfaces could be missed."""
    points = request.points if request.points is not None else spaces.corners(request.space)
    looked_at: set[str] = set()
    for values in points:
        config = request.compose(values).config
        meta = scene.planned_meta(config.data)
        settings = build.model_settings(config, meta)
        if config.sampler.kind not in ("manifold", "spheres"):
            continue
        # The field is the same for both kinds and any radiance: it is drawn first.
        settings["sampler"]["kind"], settings["radiance"]["width"] = "spheres", 1
        parts = {part: settings[part] for part in ("manifold", "sampler", "generator")}
        if (key := repr((parts, config.seed))) in looked_at:
            continue
        looked_at.add(key)
        torch.manual_seed(config.seed)
        try:
            generator = models.build_generator(settings)
            _require_reachable(generator, scene.training_poses(config.data, meta))
        except ValueError as error:
            raise ConfigError(f"space: {in_words(values)}: {error}") from None


def _require_reachable(generator: Generator, prior: PosePrior) -> None:
    """See `build.require_reachable_levels`: from a few cameras first, as most points are fine."""
    try:
        build.require_reachable_levels(generator, prior, poses=FEW_POSES)
    except ValueError:
        build.require_reachable_levels(generator, prior)
