"""A training run: what every process trains, and where the first one records it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram.data.reader import ImageDataset
from gram.training.state import TrainingState
from gram.training.step import Reals
from pipeline.config.schema import Config
from pipeline.runtime.processes import Team
from pipeline.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a process trains.

    Attributes:
        config: of the run.
        state: that is trained; its step is where this process takes over.
        dataset: that is trained on.
        reals: its images with their poses, on the device.
        team: this process and the others.
    """

    config: Config
    state: TrainingState
    dataset: ImageDataset
    reals: Reals
    team: Team


@dataclass(frozen=True, kw_only=True)
class Record:
    """Where the first process records a run.

    Attributes:
        folder: of the checkpoints.
        tracker: of the run.
        conditions: of the checkpoints.
        origin: what a model tells about where it comes from, beside its step and its distance.
    """

    folder: Path
    tracker: Tracker
    conditions: Mapping[str, Any]
    origin: Mapping[str, Any]
