"""Checkpoints of unfinished training: folders `step-00001000`, complete or absent; tensors and JSON only."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

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


class Checkpoint(NamedTuple):
    """What a folder holds; `conditions` are those that `save` was told."""

    path: Path
    step: int
    tensors: dict[str, Tensor]
    conditions: dict[str, Any]


def save(
    folder: Path,
    state: Resumable,
    *,
    keep: int,
    keep_every: int = 0,
    conditions: Mapping[str, Any] | None = None,
) -> Path:
    """Write the checkpoint of the current step, then remove all that need not stay.

    Args:
        folder: of all checkpoints of a training.
        state: to save.
        keep: number of newest checkpoints that stay.
        keep_every: checkpoints of multiples of this step stay for good; 0 keeps none of them.
        conditions: what the next bits depend on beside the tensors, JSON.

    Returns:
        The checkpoint's folder.

    Raises:
        OSError: it cannot be written, for instance on a full disk; older checkpoints are intact.
    """
    path = _path(folder, state.step)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    description = {"format": FORMAT, "step": state.step, "conditions": dict(conditions or {})}
    write_folder(
        path,
        {TENSORS: safetensors.torch.save(tensors), DESCRIPTION: json.dumps(description, indent=1).encode()},
    )
    for old in steps(folder)[:-keep]:
        if not keep_every or old % keep_every:
            shutil.rmtree(_path(folder, old))
    return path


def steps(folder: Path) -> list[int]:
    """Steps of all checkpoints in a folder, in order."""
    names = (re.fullmatch(r"step-(\d{8})", path.name) for path in folder.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)


def newest_step(folder: Path) -> int | None:
    """Step of the newest checkpoint in a folder; None where there is none."""
    return max(steps(folder), default=None)


def read_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint, tensors on the CPU; None where there is none.

    Raises:
        ValueError: it was made by another version of the format.
    """
    step = newest_step(folder)
    return None if step is None else read(_path(folder, step))


def read(path: Path) -> Checkpoint:
    """The checkpoint of a folder `step-*`, tensors on the CPU.

    Raises:
        ValueError: there is none, or it was made by another version of the format.
    """
    if not (path / DESCRIPTION).is_file():
        raise ValueError(f"{path} is no checkpoint: it is a folder step-* of checkpoints/")
    description = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
    if description["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {description['format']}, this program reads {FORMAT}: remove it to start anew"
        )
    tensors = safetensors.torch.load_file(path / TENSORS)
    return Checkpoint(path, description["step"], tensors, description.get("conditions", {}))


def restore(state: Resumable, step: int, tensors: dict[str, Tensor], *, source: str) -> None:
    """Bring `state` to a step; `source` names the tensors in messages.

    Raises:
        ValueError: they do not fit `state`.
    """
    try:
        state.load_tensors(tensors)
    except (RuntimeError, KeyError, ValueError) as error:
        raise ValueError(f"{source} is not of this model ({error}): remove it to start anew") from error
    state.step = step


def load_newest(folder: Path, state: Resumable) -> int | None:
    """Bring `state` to the newest checkpoint, if there is one.

    Returns:
        Its step.

    Raises:
        ValueError: it does not fit `state`, or was made by another version of the format.
    """
    found = read_newest(folder)
    if found is None:
        return None
    restore(state, found.step, found.tensors, source=str(found.path))
    return found.step


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
