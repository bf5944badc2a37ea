"""The pictures of a sweep: prepared once, by the driver, and shared by all trials."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pipeline import scene
from pipeline.config import as_dict
from pipeline.console import say
from pipeline.schema import Config


class DataSets:
    """Folders of the data sets that trials ask for; those that are missing are prepared.

    Args:
        folder: for data sets that the project's own folder does not hold.
        prepare: writes the data sets of a configuration.
    """

    def __init__(self, folder: Path, prepare: Callable[[Config], None]) -> None:
        self._folder, self._prepare = folder, prepare
        self._known: dict[str, dict[str, str]] = {}

    def paths(self, config: Config) -> Mapping[str, str]:
        """Options of `paths` for a configuration, absolute.

        Raises:
            ValueError: the user's own pictures cannot be used.
        """
        key = _key(config)
        if key not in self._known:
            own = {
                name: str(Path(getattr(config.paths, name)).resolve()) for name in ("train_data", "test_data")
            }
            self._known[key] = own if _fits(own["train_data"], config) else self._prepared(key, config)
        return self._known[key]

    def _prepared(self, key: str, config: Config) -> dict[str, str]:
        folder = self._folder / key
        paths = {"train_data": str(folder / "train"), "test_data": str(folder / "test")}
        if not _fits(paths["train_data"], config):
            say(f"sweep: {config.paths.train_data} is not what the trials ask for: preparing {folder}")
            self._prepare(replace(config, paths=replace(config.paths, **paths)))
        return paths


def _key(config: Config) -> str:
    """Of the pictures: equal for configurations that share them."""
    data = {name: value for name, value in as_dict(config)["data"].items() if name != "processes"}
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:12]


def _fits(path: str, config: Config) -> bool:
    """Whether a folder holds the pictures of a configuration."""
    try:
        dataset = scene.open_dataset(path, config.data)
    except (ValueError, OSError):
        return False
    if config.data.kind == "images":
        return True
    return len(dataset) == config.data.identities and dataset.meta.seed == config.data.seed
