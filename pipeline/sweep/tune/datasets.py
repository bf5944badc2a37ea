"""Data sets of a sweep: each prepared once, by the driver, and shared by the trials that use it."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipeline.cli.console import say
from pipeline.config.schema import Config
from pipeline.runtime import scene
from pipeline.runtime.prepared import preparation
from pipeline.sweep.request import Request
from pipeline.sweep.space import Choice, Values

FOLDER = "data"
"""Folder of data sets, in that of all sweeps."""


class DataSets:
    """Folders of the data sets that trials ask for; those that are missing are prepared.

    Args:
        folder: for data sets that the project's own folder does not hold.
        prepare: writes the data sets of a configuration.
        recorded: whether the project's own data set must record its preparation.
    """

    def __init__(self, folder: Path, prepare: Callable[[Config], None], *, recorded: bool = False) -> None:
        self._folder, self._prepare, self._recorded = folder, prepare, recorded
        self._known: dict[str, dict[str, str]] = {}

    def paths(self, config: Config) -> Mapping[str, str]:
        """Options of `paths` for a configuration, absolute.

        Raises:
            ValueError: the user's own images cannot be used.
        """
        key = key_of(config)
        if key not in self._known:
            own = {
                name: str(Path(getattr(config.paths, name)).resolve()) for name in ("train_data", "test_data")
            }
            fits = _fits(own["train_data"], config, recorded=self._recorded)
            self._known[key] = own if fits else self._prepared(config)
        return self._known[key]

    @property
    def places(self) -> Mapping[str, Mapping[str, str]]:
        """Key of each data set so far -> options of `paths`."""
        return self._known

    @property
    def folders(self) -> list[str]:
        """Folders of all data sets so far that trials train on."""
        return [paths["train_data"] for paths in self._known.values()]

    def _prepared(self, config: Config) -> dict[str, str]:
        record = {split: preparation(config.data, split) for split in ("train", "test")}
        folder = self._folder / _key(record)
        paths = {"train_data": str(folder / "train"), "test_data": str(folder / "test")}
        whole = [_fits(paths[f"{split}_data"], config, split, recorded=True) for split in ("train", "test")]
        if not all(whole):
            say(f"sweep: {config.paths.train_data} is not what the trials ask for: preparing {folder}")
            self._prepare(replace(config, paths=replace(config.paths, **paths)))
        return paths


def of_request(request: Request, prepare: Callable[[Config], None]) -> DataSets:
    """The data sets of a search, all prepared.

    Raises:
        ValueError: the user's own images cannot be used.
    """
    wanted = configurations(request)
    made = DataSets(Path(request.settings.sweep.folder).resolve() / FOLDER, prepare, recorded=len(wanted) > 1)
    for config in wanted:
        made.paths(config)
    return made


def configurations(request: Request) -> list[Config]:
    """A configuration for each data set that trials can ask for, in the order of the search."""
    names = [name for name in request.space if chooses_data(name)]
    if not names:
        return [request.config]
    first = {name: entry.extremes()[0] for name, entry in request.space.items()}
    points: list[Values] = request.points or [
        {**first, **dict(zip(names, values, strict=True))}
        for values in itertools.product(*(_values(request, name) for name in names))
    ]
    distinct = {_key([point[name] for name in names]): point for point in reversed(points)}
    found = (request.compose(point).config for point in reversed(distinct.values()))
    return list({key_of(config): config for config in found}.values())


def key_of(config: Config) -> str:
    """Key that is equal for configurations of the same images."""
    return _key(asdict(config.data))


def chooses_data(name: str) -> bool:
    """True where an option of a search space, or a group of presets, changes the images."""
    return name.partition(".")[0] in ("data", "experiment")


def _values(request: Request, name: str) -> tuple[Any, ...]:
    entry = request.space[name]
    assert isinstance(entry, Choice), "checks.check requires it"
    return entry.values


def _key(of: object) -> str:
    """Key that is equal for equal values that JSON can hold."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:12]


def _fits(path: str, config: Config, split: str = "train", *, recorded: bool) -> bool:
    """True where a folder holds the images of a configuration, with `recorded` by its meta.json."""
    try:
        dataset = scene.open_dataset(path, config.data)
        scene.require_prepared(path, dataset.meta, config.data, split)
    except (ValueError, OSError):
        return False
    if dataset.meta.prepared is not None:
        return True
    if recorded:
        return False
    return config.data.kind == "images" or (
        len(dataset) == config.data.identities and dataset.meta.seed == config.data.seed
    )
