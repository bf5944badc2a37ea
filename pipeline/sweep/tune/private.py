"""Paths and store of trials: handed to them by Ray, and held by no file that is given away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Private:
    """Options of all trials beside their files.

    Attributes:
        tracking: options of that section.
        paths: options of that section.
        data: of each data set by its key, see `pipeline.sweep.tune.datasets`: options of paths.
    """

    tracking: Mapping[str, Any]
    paths: Mapping[str, str]
    data: Mapping[str, Mapping[str, str]]

    def of(self, name: str, data: str) -> dict[str, dict[str, Any]]:
        """The sections of one trial.

        Args:
            name: of the trial.
            data: key of its data set.
        """
        return {"tracking": {**self.tracking, "run": name}, "paths": {**self.paths, **self.data[data]}}
