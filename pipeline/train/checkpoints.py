"""Unfinished training on disk: one folder a configuration, one process at a time."""

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
from pipeline.train import beginnings

LOCK = "lock"
_STEP = "step"


@contextmanager
def work_folder(checkpoints: Path, mark: str, *, steps: int) -> Iterator[Path]:
    """The folder of a fingerprint, held by this process alone.

    Where training has gone beyond `steps` already, a folder for that shorter training: what was trained
    longer stays for whoever asks for it again.

    Raises:
        BusyError: another process holds it.
    """
    folder = folder_of(checkpoints, mark, steps=steps)
    if folder.name != mark:
        say(f"train: {checkpoints / mark} is beyond train.steps = {steps} already: training apart")
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / LOCK, what=folder, task="train"):
        sweep_inside(folder)
        yield folder


def folder_of(checkpoints: Path, mark: str, *, steps: int) -> Path:
    """Where training of a fingerprint to `steps` steps keeps its checkpoints."""
    newest = checkpoint.newest_step(checkpoints / mark)
    return checkpoints / (mark if newest is None or newest <= steps else f"{mark}-to-{steps}")


def tell_what_is_replaced(model: Path, checkpoints: Path, mark: str, *, steps: int) -> None:
    """Say that a published model of another training goes, and how it comes back.

    Args:
        model: folder of the published model, if there is one.
        checkpoints: of all trainings.
        mark: fingerprint of the training that begins.
        steps: of it.
    """
    try:
        made = load_settings(model)["made_from"]
        before, done = str(made["fingerprint"]), int(made["steps"])
    except (ValueError, OSError, KeyError, TypeError):
        return  # no model that tells
    if before == mark and done <= steps:
        return
    say(f"train: {model}, {done:,} steps of {before}, will be replaced by {steps:,} steps of {mark}")
    places = [checkpoints / before, checkpoints / f"{before}-to-{done}"]
    kept = [folder for folder in places if checkpoint.newest_step(folder) == done]
    if kept and before.partition("-")[2] == mark.partition("-")[2]:
        options = "" if before == mark else " and its options"
        say(f"train: to get it back: train.steps={done}{options}; its checkpoint stays in {kept[0]}")
    else:
        say(f"train: no checkpoint gives it back: to keep it, stop now and copy it, cp -r {model} ELSEWHERE")


def holder(folder: Path) -> locks.Holder | None:
    """The process that trains in a folder; None where nobody does."""
    return locks.holder(folder / LOCK)


def changes(now: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    """Conditions that are not those of a checkpoint, in words."""
    known = {name: before.get(name, value) for name, value in now.items()}
    return [f"{name} {now[name]}, not {known[name]}" for name in now if now[name] != known[name]]


def conditions(config: Config, team: Team) -> dict[str, Any]:
    """What the bits of the next steps depend on beside the checkpoint."""
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
    """Bring every process to the newest checkpoint of the first one's folder, and say so.

    Where there is none yet, `start_from` names that of another training, which is gone on with under the
    settings of this one.

    Where `now`, the conditions of this run, are not those of the checkpoint, it says what differs; where
    training begins anew beside unfinished training, what `matters` that was another there.
    """
    found = _newest_whole(folder) if team.is_first else None
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
        beginnings.write(folder, matters)
    if found is not None:
        say(f"train: going on from step {found.step} in {folder}")
        if changed := changes(now, found.conditions):
            say(f"train: now {'; '.join(changed)}: as good, but not bit for bit what it would have become")
        return
    say(f"train: beginning at step 0, checkpoints go to {folder.absolute()}")
    if matters is not None and (note := beginnings.told(folder, matters)):
        say(f"train: {note}")
    others = made_by_another_program(folder.parent, folder.name)
    if others:
        say(f"train: {folder.name} starts anew, as gram has changed since {others[-1].name} was trained")
        say(f"train: to go on from there all the same: mv {others[-1]}/* {folder}/")


def _newest_whole(folder: Path) -> checkpoint.Checkpoint | None:
    """The newest checkpoint that can be read; damaged ones are put aside, and that is said."""
    found = checkpoint.read_newest(folder)
    for path, error in () if found is None else found.damaged:
        aside = path.with_name(f"damaged-{path.name}")
        if aside.exists():
            shutil.rmtree(aside)
        path.rename(aside)
        say(f"train: {path} is damaged, and now {aside.name}: an older one goes on ({error})")
    return found


def save(state: TrainingState, folder: Path, config: TrainConfig, now: Mapping[str, Any]) -> None:
    """Write a checkpoint, then remove those that need not stay.

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
