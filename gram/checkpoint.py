"""Checkpoints of unfinished training: folders `step-00001000`, complete or absent; tensors and JSON only."""

import json
import re
import shutil
from pathlib import Path
from typing import Protocol, runtime_checkable

import safetensors.torch
from torch import Tensor

from gram.folders import write_folder

TENSORS = "tensors.safetensors"
DESCRIPTION = "checkpoint.json"
FORMAT = 1


@runtime_checkable
class Resumable(Protocol):
    """What can be saved: its step, and tensors by name that determine everything else."""

    step: int

    def tensors(self) -> dict[str, Tensor]:
        """All tensors that change while training."""
        ...

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over the values of `tensors()` of an equally built object."""
        ...


def save(folder: Path, state: Resumable, *, keep: int) -> Path:
    """Write the checkpoint of the current step, then remove all but the newest `keep`.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: it cannot be written, for instance on a full disk; older checkpoints are intact.
    """
    path = folder / f"step-{state.step:08d}"
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    description = {"format": FORMAT, "step": state.step}
    write_folder(
        path,
        {TENSORS: safetensors.torch.save(tensors), DESCRIPTION: json.dumps(description, indent=1).encode()},
    )
    for old in _steps(folder)[:-keep]:
        shutil.rmtree(folder / f"step-{old:08d}")
    return path


def newest_step(folder: Path) -> int | None:
    """Step of the newest checkpoint in a folder; None where there is none."""
    return max(_steps(folder), default=None)


def load_newest(folder: Path, state: Resumable) -> int | None:
    """Bring `state` to the newest checkpoint, if there is one.

    Returns:
        Its step.

    Raises:
        ValueError: it does not fit `state`, or was made by another version of the format.
    """
    step = newest_step(folder)
    if step is None:
        return None
    path = folder / f"step-{step:08d}"
    description = json.loads((path / DESCRIPTION).read_text())
    if description["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {description['format']}, this program reads {FORMAT}: remove it to start anew"
        )
    try:
        state.load_tensors(safetensors.torch.load_file(path / TENSORS))
    except (RuntimeError, KeyError) as error:
        raise ValueError(f"{path} is not of this model ({error}): remove it to start anew") from error
    state.step = step
    return step


def _steps(folder: Path) -> list[int]:
    names = (re.fullmatch(r"step-(\d{8})", path.name) for path in folder.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)
