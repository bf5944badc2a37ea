"""Parts of a training run: state and data on every process, and the records of the first one."""

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
    """State and data of a training on one process.

    Attributes:
        config: configuration of the run.
        state: networks and optimizers; training continues at its step.
        dataset: training data.
        reals: images of the data set with their poses, on the device.
        team: this process and the others.
    """

    config: Config
    state: TrainingState
    dataset: ImageDataset
    reals: Reals
    team: Team


@dataclass(frozen=True, kw_only=True)
class Record:
    """Records that the first process keeps of a run.

    Attributes:
        folder: checkpoint folder.
        tracker: tracking client of the run.
        conditions: conditions stored in every checkpoint.
        origin: provenance stored in every model, without its step and distance.
    """

    folder: Path
    tracker: Tracker
    conditions: Mapping[str, Any]
    origin: Mapping[str, Any]
