"""Checkpoint folders of unfinished training: one per fingerprint, held by one process at a time."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from gram.model.folder import load_settings
from gram.system import locks
from gram.system.folders import sweep_inside
from gram.training import checkpoint
from gram.training.state import TrainingState
from pipeline.cli.console import say
from pipeline.config.schema import Config, TrainConfig
from pipeline.runtime.processes import Team
from pipeline.tracking.fingerprint import made_by_another_program
from pipeline.train import earlier_runs

LOCK = "lock"
_STEP = "step"


@contextmanager
def work_folder(checkpoints: Path, mark: str, *, steps: int) -> Iterator[Path]:
    """Lock and yield the checkpoint folder of a fingerprint.

    If training has gone beyond `steps` already, a separate folder for the shorter training, so that the
    longer one is kept.

    Raises:
        BusyError: another process holds it.
    """
    folder = folder_of(checkpoints, mark, steps=steps)
    if folder.name != mark:
        say(f"train: {checkpoints / mark} is beyond train.steps = {steps} already: training in {folder.name}")
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / LOCK, what=folder, task="train"):
        sweep_inside(folder)
        yield folder


def folder_of(checkpoints: Path, mark: str, *, steps: int) -> Path:
    """Checkpoint folder for training a fingerprint to `steps` steps."""
    newest = checkpoint.newest_step(checkpoints / mark)
    return checkpoints / (mark if newest is None or newest <= steps else f"{mark}-to-{steps}")


def announce_replacement(model: Path, checkpoints: Path, mark: str, *, steps: int) -> None:
    """Report that the published model of another training than `mark` is replaced, and how to restore it."""
    try:
        made = load_settings(model)["made_from"]
        before, done = str(made["fingerprint"]), int(made["steps"])
    except (ValueError, OSError, KeyError, TypeError):
        return  # no model, or one that does not record its training
    if before == mark and done <= steps:
        return
    say(f"train: {model}, {done:,} steps of {before}, will be replaced by {steps:,} steps of {mark}")
    places = [checkpoints / before, checkpoints / f"{before}-to-{done}"]
    kept = [folder for folder in places if checkpoint.newest_step(folder) == done]
    if kept and before.partition("-")[2] == mark.partition("-")[2]:
        options = "" if before == mark else " and its options"
        say(f"train: to restore it: train.steps={done}{options}; its checkpoint stays in {kept[0]}")
    else:
        say(f"train: no checkpoint restores it: to keep it, stop now and copy it, cp -r {model} ELSEWHERE")


def holder(folder: Path) -> locks.Holder | None:
    """Process that trains in a folder; None if there is none."""
    return locks.holder(folder / LOCK)


def changes(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Conditions that differ from those of a checkpoint, as text."""
    known = {name: before.get(name, value) for name, value in now.items()}
    return [f"{name} {now[name]}, not {known[name]}" for name in now if now[name] != known[name]]


def conditions(config: Config, team: Team) -> dict[str, Any]:
    """Conditions beside the checkpoint that the exact bits of the next steps depend on."""
    train = config.train
    return {
        "processes": team.processes.size,
        "micro_batch": train.micro_batch,
        "patches": train.patches,
        "recompute": train.recompute,
        "kernels": team.backend.kernels,
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if team.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }


def resume(
    state: TrainingState,
    folder: Path,
    team: Team,
    now: Mapping[str, Any],
    *,
    start_from: str | None = None,
    matters: Mapping[str, Any] | None = None,
) -> None:
    """Restore the newest checkpoint in the first process's folder on every process, and report it.

    Without a checkpoint there, training continues `start_from`, the folder of another training, or begins at
    step 0. Differences of `now`, the conditions of this run, from the checkpoint's are reported, and those of
    `matters`, its settings, from unfinished trainings if it begins at step 0.
    """
    found = _newest_intact(folder) if team.is_first else None
    if team.is_first and found is None and start_from is not None:
        found, folder = checkpoint.read(Path(start_from)), Path(start_from)
    mine = None if found is None else {**found.tensors, _STEP: torch.tensor(found.step)}
    tensors = team.processes.from_first(mine, team.device)
    if tensors is not None:
        step = int(tensors.pop(_STEP))
        checkpoint.restore(state, step, tensors, source=str(folder))
    if not team.is_first:
        return
    if matters is not None:
        earlier_runs.write_settings(folder, matters)
    if found is not None:
        say(f"train: going on from step {found.step} in {folder}")
        if changed := changes(now, found.conditions):
            say(f"train: now {'; '.join(changed)}: results will be equivalent, but not bit-identical")
        return
    say(f"train: beginning at step 0, checkpoints go to {folder.absolute()}")
    if matters is not None and (note := earlier_runs.describe_closest(folder, matters)):
        say(f"train: {note}")
    others = made_by_another_program(folder.parent, folder.name)
    if others:
        say(f"train: {folder.name} starts anew, as gram has changed since {others[-1].name} was trained")
        say(f"train: to go on from there all the same: mv {others[-1]}/* {folder}/")


def _newest_intact(folder: Path) -> checkpoint.Checkpoint | None:
    """Read the newest intact checkpoint; rename damaged ones to `damaged-*`, and report it."""
    found = checkpoint.read_newest(folder)
    for path, error in () if found is None else found.damaged:
        aside = path.with_name(f"damaged-{path.name}")
        if aside.exists():
            shutil.rmtree(aside)
        path.rename(aside)
        say(f"train: {path} is damaged, renamed to {aside.name}: using an older one ({error})")
    return found


def save(state: TrainingState, folder: Path, config: TrainConfig, now: Mapping[str, Any]) -> None:
    """Write a checkpoint, then remove those that train.keep_checkpoints and train.keep_every do not keep.

    Raises:
        OSError: it cannot be written, for instance on a full disk; the checkpoint before it is intact.
    """
    before = checkpoint.newest_step(folder)
    try:
        checkpoint.save(
            folder, state, keep=config.keep_checkpoints, keep_every=config.keep_every, conditions=now
        )
    except OSError as error:
        kept = "none is left" if before is None else f"the one of step {before} is intact"
        problem = f"the checkpoint of step {state.step} cannot be written to {folder} ({error.strerror})"
        raise OSError(f"{problem}; {kept}: make room and run again") from error
