"""Unfinished training on disk: one folder a configuration, one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gram import checkpoint
from gram.training import TrainingState
from pipeline.console import say
from pipeline.fingerprint import made_by_another_program


class BusyError(ValueError):
    """Another process trains the same configuration."""


@contextmanager
def work_folder(checkpoints: Path, mark: str, *, steps: int) -> Iterator[Path]:
    """The folder of a fingerprint, held by this process alone.

    Where training has gone beyond `steps` already, a folder for that shorter training: what was trained
    longer stays for whoever asks for it again.

    Raises:
        BusyError: another process holds it.
    """
    folder = checkpoints / mark
    if (newest := checkpoint.newest_step(folder)) is not None and newest > steps:
        say(f"train: {folder} is at step {newest} already, beyond train.steps = {steps}: training apart")
        folder = checkpoints / f"{mark}-to-{steps}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            raise BusyError(f"{folder} is in use by process {holder}: wait for it, or end it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield folder


def resume(state: TrainingState, folder: Path) -> None:
    """Bring `state` to the newest checkpoint, and say so."""
    step = checkpoint.load_newest(folder, state)
    if step is not None:
        say(f"train: going on from step {step} in {folder}")
        return
    others = made_by_another_program(folder.parent, folder.name)
    if others:
        say(f"train: {folder.name} starts anew, as gram has changed since {others[-1].name} was trained")
        say(f"train: to go on from there all the same: mv {others[-1]}/* {folder}/")


def save(state: TrainingState, folder: Path, *, keep: int) -> None:
    """Write a checkpoint, then remove all but the newest `keep`.

    Raises:
        OSError: it cannot be written, for instance on a full disk; the checkpoint before it is intact.
    """
    before = checkpoint.newest_step(folder)
    try:
        checkpoint.save(folder, state, keep=keep)
    except OSError as error:
        kept = "none is left" if before is None else f"the one of step {before} is intact"
        problem = f"the checkpoint of step {state.step} cannot be written to {folder} ({error.strerror})"
        raise OSError(f"{problem}; {kept}: make room and run again") from error
