"""Checks of a search before anything starts: every point is composed and examined."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from gram.geometry.poses import PosePrior
from gram.model import folder as model_folder
from gram.model.generator import Generator
from gram.rendering.samplers import SAMPLERS
from pipeline.cli.progress import announced
from pipeline.config.options import ConfigError
from pipeline.config.schema import Config
from pipeline.runtime import build, estimates, scene
from pipeline.sweep import space as spaces
from pipeline.sweep.request import Request, in_words
from pipeline.sweep.space import Values
from pipeline.sweep.tune import datasets

FEW_POSES = 16
"""Cameras that suffice for surfaces that most rays meet."""
LONGEST_NAME, LONGEST_PATH = 200, 2000
"""Bytes that file systems take, with room for what goes into the folder."""
_NOT_OF_TRAINING = ("paths", "tracking", "evaluate", "export")
"""Sections that the sweep sets itself, or that training does not read."""
_NOT_THE_RESULT = (
    "data.processes", "data.views", "train.threads", "train.log_every", "train.sample_every",
    "train.checkpoint_every", "train.keep_checkpoints", "train.keep_every",
)  # fmt: skip
_NETWORKS = {"model.manifold_": "manifold", "model.ray_": "ray_network"}
"""Prefix of the options of a sampler's network -> section of a model's settings that they are written to."""
_OF_LEARNING = ("train.lr_manifold", "train.manifold_every")
"""Options of samplers that learn."""


def check(request: Request, *, room: bool = False) -> None:
    """Refuse a search that cannot be made, or a point of it that no trial can take.

    Args:
        request: what is searched.
        room: refuse trainings, too, that are estimated to be beyond this machine, where trials run on it.

    Raises:
        ConfigError: naming the point and what is wrong with it.
        ValueError: naming the point that there is no room for.
    """
    sweep, config = request.settings.sweep, request.config
    _check_places(sweep.name or "", sweep.folder)
    _check_options(request)
    if sweep.search != "grid" and sweep.num_trials is None:
        raise ConfigError(f"sweep.search = {sweep.search} needs their number: set sweep.num_trials")
    if sweep.search == "grid" and sweep.num_trials is not None:
        raise ConfigError("sweep.num_trials: a grid has as many trials as combinations; leave it out")
    if sweep.objective is None and not config.train.measure_every:
        raise ConfigError(
            "nothing tells which trial is best: set train.measure_every, the steps between distances "
            "to real images, or sweep.objective"
        )
    if sweep.objective == "":
        raise ConfigError(
            "sweep.objective = '': it names a metric of metrics.jsonl; null is the first distance/"
        )
    if sweep.gpus is not None and sweep.gpus > 1 and sweep.gpus != int(sweep.gpus):
        raise ConfigError(f"sweep.gpus = {sweep.gpus}: a trial has a share of one GPU, or several whole ones")
    if config.train.launch.machines > 1:
        raise ConfigError("train.launch.machines: a trial has one machine; Ray shares out the machines")
    if sweep.scheduler == "pbt":
        _check_population(request)
    kinds: set[str] = set()
    reachable = _Reachable()
    for values, config in _composed(request):
        kinds.add(config.sampler.kind)
        reachable.require(values, config)
        if room and request.settings.ray.address is None:
            _require_room(request, values, config)
    _check_samplers(request, kinds)


def _composed(request: Request) -> Iterator[tuple[Values, Config]]:
    """Every point with its configuration, or the extremes of what Optuna may ask for."""
    points = request.points if request.points is not None else spaces.corners(request.space)
    for values in announced("sweep: points checked", points):
        yield values, request.compose(values).config


def _check_places(name: str, folder: str) -> None:
    """Refuse a name that no folder can have, and a folder that cannot hold it."""
    for option, given, longest in (("name", name, LONGEST_NAME), ("folder", folder, LONGEST_PATH)):
        if not given.strip() or not given.isprintable():
            raise ConfigError(
                f"sweep.{option} = {given!r}: it names a folder, in characters that can be shown"
            )
        if len(given.encode()) > longest:
            cut = f"{given[:40]}..."
            raise ConfigError(f"sweep.{option} = {cut}: {len(given.encode())} bytes, but at most {longest}")
    if "/" in name or name.startswith(".") or name == datasets.FOLDER:
        raise ConfigError(
            f"sweep.name = {name!r}: it names a folder in {folder}, without /, not beginning with a dot, "
            f"and not {datasets.FOLDER}, where data sets of sweeps are"
        )
    there = next(
        place for place in (Path(folder).absolute(), *Path(folder).absolute().parents) if place.exists()
    )
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"sweep.folder = {folder}: {there} is no folder that can be written to")


def _check_options(request: Request) -> None:
    """Refuse to search options without effect on training, and intervals of data sets."""
    optuna = request.settings.sweep.search == "optuna"
    for name, entry in request.space.items():
        if name.partition(".")[0] in _NOT_OF_TRAINING or name in _NOT_THE_RESULT:
            raise ConfigError(f"space: {name}: it does not change what a trial trains: all would be the same")
        if optuna and datasets.chooses_data(name) and not isinstance(entry, spaces.Choice):
            raise ConfigError(
                f"space: {name}: Optuna would ask for another data set for each trial: give a list of values"
            )


def _check_population(request: Request) -> None:
    if request.config.train.measure_every == 0:
        raise ConfigError("sweep.scheduler = pbt compares while trials train: set train.measure_every")
    for name in request.space:
        if not name.startswith("train."):
            raise ConfigError(
                f"space: {name}: pbt changes values while a trial goes on, which only options of train allow"
            )


def _check_samplers(request: Request, kinds: set[str]) -> None:
    """Refuse to search options that no sampler of the search uses."""
    for name in request.space:
        users = users_of(name)
        if users is not None and not kinds & set(users):
            raise ConfigError(
                f"space: {name}: it does not change what sampler.kind = {' or '.join(sorted(kinds))} does, "
                f"but {', '.join(users)} alone: all trials would be the same"
            )


def users_of(option: str) -> list[str] | None:
    """Kinds of samplers without which an option changes nothing; None of options that all share."""
    group, _, name = option.partition(".")
    network = next((found for start, found in _NETWORKS.items() if option.startswith(start)), None)
    if network is not None:
        return [kind for kind, sampler in SAMPLERS.items() if sampler.network_settings == network]
    if option in _OF_LEARNING:
        return [kind for kind, sampler in SAMPLERS.items() if sampler.learns]
    if group == "sampler" and name not in ("kind", "points"):
        return [kind for kind, sampler in SAMPLERS.items() if name in sampler.options]
    return None


def _require_room(request: Request, values: Values, config: Config) -> None:
    """Refuse a point whose training alone is estimated to be beyond this machine."""
    train = replace(config.train, device="cpu") if request.settings.sweep.gpus == 0 else config.train
    paths = replace(config.paths, checkpoints=str(request.folder))
    try:
        estimates.require_room("train", replace(config, train=train, paths=paths))
    except ValueError as error:
        raise ValueError(f"space: {in_words(values)}: {error}") from None


class _Reachable:
    """Check of isosurfaces that no ray meets, once for points that have the same ones."""

    def __init__(self) -> None:
        self._checked: set[str] = set()

    def require(self, values: Values, config: Config) -> None:
        """Refuse a point whose surfaces no ray meets.

        Raises:
            ConfigError: naming it.
        """
        meta = scene.planned_meta(config.data)
        settings = build.model_settings(config, meta)
        if not SAMPLERS[config.sampler.kind].has_isosurfaces:
            return
        settings["radiance"]["width"] = 1
        # The field is the same for every kind and any radiance: it is drawn first.
        parts = {part: settings[part] for part in ("manifold", "sampler", "generator")}
        parts["sampler"] = {name: value for name, value in parts["sampler"].items() if name != "kind"}
        if (key := repr((parts, config.seed))) in self._checked:
            return
        self._checked.add(key)
        torch.manual_seed(config.seed)
        try:
            generator = model_folder.build_generator(settings)
            _require_reachable(generator, scene.training_poses(config.data, meta))
        except ValueError as error:
            raise ConfigError(f"space: {in_words(values)}: {error}") from None


def _require_reachable(generator: Generator, prior: PosePrior) -> None:
    """Refuse as `build.require_reachable_levels`, by few cameras first, which suffice for most points."""
    try:
        build.require_reachable_levels(generator, prior, poses=FEW_POSES)
    except ValueError:
        build.require_reachable_levels(generator, prior)
