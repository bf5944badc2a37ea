"""Parts of a training run: state and data on every process, and the records of the first one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram.data.reader import ImageDataset
from gram.training.state import TrainingState
from gram.training.step import Reals
from pipeline.config.schema import Config
from pipeline.runtime import build
from pipeline.runtime.processes import Team
from pipeline.tracking.tracker import Tracker


@dataclass(frozen=True, kw_only=True)
class Run:
    """State and data of a training on one process."""

    config: Config
    state: TrainingState  # training continues at its step
    dataset: ImageDataset
    reals: Reals  # all images of the data set, on the device
    team: Team  # this process and the others


@dataclass(frozen=True, kw_only=True)
class Record:
    """Records that the first process keeps of a run."""

    folder: Path  # of checkpoints
    tracker: Tracker
    conditions: Mapping[str, Any]  # stored in every checkpoint
    origin: Mapping[str, Any]  # provenance stored in every model, without its step and distance


def save_model(run: Run, record: Record, folder: Path, **more: Any) -> None:
    """Write a model folder with its provenance."""
    steps = run.state.step
    made_from = {**record.origin, "images": steps * run.config.train.batch_size, "steps": steps, **more}
    build.save_model(folder, run.state, build.model_settings(run.config, run.dataset.meta), made_from)
