"""Checkpoints of unfinished training: folders `step-00001000` of tensors and JSON, written atomically."""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, Protocol, TypedDict, runtime_checkable

import safetensors.torch
from torch import Tensor

from gram.system import documents, tensor_files
from gram.system.documents import Bounds
from gram.system.folders import write_folder

TENSORS = "tensors.safetensors"
DESCRIPTION = "checkpoint.json"
FORMAT = 1
READ_AT_ONCE = 2**22
"""Block size for hashing files, bytes."""
REMEDY = "remove its folder to go on from an older one"
_NAME = re.compile(r"step-(\d{8})")


@runtime_checkable
class Resumable(Protocol):
    """State that can be saved: a step, and tensors that determine everything else."""

    step: int

    def tensors(self) -> dict[str, Tensor]:
        """Tensors that change during training, by name."""
        ...

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore the values of `tensors()` of an object with the same structure."""
        ...


class DamagedError(ValueError):
    """Damaged checkpoint; the message names the file."""


class Damaged(NamedTuple):
    """Unreadable checkpoint, and the reason."""

    path: Path
    error: DamagedError


class Checkpoint(NamedTuple):
    """Content of a checkpoint folder.

    Attributes:
        conditions: argument of `save`.
        damaged: newer checkpoints, which are damaged.
    """

    path: Path
    step: int
    tensors: dict[str, Tensor]
    conditions: dict[str, Any]
    damaged: tuple[Damaged, ...] = ()


class _Description(TypedDict):
    format: int
    step: Annotated[int, Bounds(low=0)]
    conditions: NotRequired[dict[str, Any]]
    digest: NotRequired[Annotated[str, Bounds(low=64, high=64)]]


def save(
    folder: Path,
    state: Resumable,
    *,
    keep: int,
    keep_every: int = 0,
    conditions: Mapping[str, Any] | None = None,
) -> Path:
    """Write the checkpoint of the current step, then remove old ones.

    Args:
        folder: folder of all checkpoints of a training.
        state: state to save.
        keep: number of newest checkpoints to keep.
        keep_every: keep checkpoints at multiples of this step for good; 0 keeps none of them.
        conditions: everything else that further results depend on bit by bit, as JSON.

    Returns:
        Folder of the checkpoint.

    Raises:
        OSError: it cannot be written, for instance on a full disk; older checkpoints stay intact.
    """
    path = _path(folder, state.step)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.tensors().items()}
    content = safetensors.torch.save(tensors)
    description = {"format": FORMAT, "step": state.step, "conditions": dict(conditions or {})}
    description["digest"] = _digest(description, content)
    write_folder(path, {TENSORS: content, DESCRIPTION: json.dumps(description, indent=1).encode()})
    for old in steps(folder)[:-keep]:
        if not keep_every or old % keep_every:
            shutil.rmtree(_path(folder, old))
    return path


def steps(folder: Path) -> list[int]:
    """Steps of all checkpoints in a folder, ascending."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)


def newest_step(folder: Path) -> int | None:
    """Step of the newest checkpoint in a folder; None without checkpoints."""
    return max(steps(folder), default=None)


def read_newest(folder: Path) -> Checkpoint | None:
    """Read the newest intact checkpoint, tensors on the CPU; None without checkpoints.

    Raises:
        DamagedError: all checkpoints are damaged.
        ValueError: the newest has another version of the format.
    """
    damaged: list[Damaged] = []
    for step in reversed(steps(folder)):
        try:
            return read(_path(folder, step))._replace(damaged=tuple(damaged))
        except DamagedError as error:
            damaged.append(Damaged(_path(folder, step), error))
    if damaged:
        raise damaged[0].error
    return None


def read(path: Path) -> Checkpoint:
    """Read the checkpoint of a folder `step-*`, tensors on the CPU.

    Raises:
        DamagedError: the checkpoint is damaged.
        ValueError: it is missing, or has another version of the format.
    """
    file = path / DESCRIPTION
    if not file.is_file():
        if _NAME.fullmatch(path.name) and path.is_dir():
            raise DamagedError(f"{file} is missing: {REMEDY}")
        raise ValueError(f"{path} is no checkpoint: it is a folder step-* of checkpoints/")
    try:
        stored = documents.read(file, _Description, remedy=REMEDY)
        if stored["format"] != FORMAT:
            raise ValueError(
                f"{path} has format {stored['format']}, this program reads {FORMAT}: remove it to start anew"
            )
        if (name := _NAME.fullmatch(path.name)) and int(name[1]) != stored["step"]:
            raise DamagedError(f"{file}: step is {stored['step']}, not that of the folder: {REMEDY}")
        tensors = tensor_files.read_all(path / TENSORS)
        if stored.get("digest", (digest := _digest(stored, path / TENSORS))) != digest:
            raise DamagedError(f"{path} does not hold the bytes that were written into it: {REMEDY}")
    except (documents.DocumentError, tensor_files.TensorFileError) as error:
        raise DamagedError(str(error)) from error
    return Checkpoint(path, stored["step"], tensors, stored.get("conditions", {}))


def restore(state: Resumable, step: int, tensors: dict[str, Tensor], *, source: str) -> None:
    """Restore `state` from tensors; `source` names them in messages.

    Raises:
        ValueError: the tensors do not fit `state`.
    """
    try:
        state.load_tensors(tensors)
    except (RuntimeError, KeyError, ValueError) as error:
        words = documents.one_line(error)
        raise ValueError(f"{source} is not of this model ({words}): remove it to start anew") from error
    state.step = step


def load_newest(folder: Path, state: Resumable) -> int | None:
    """Restore `state` from the newest checkpoint, and return its step; None without checkpoints.

    Raises:
        ValueError: it does not fit `state`, has another version of the format, or all are damaged.
    """
    newest = read_newest(folder)
    if newest is None:
        return None
    restore(state, newest.step, newest.tensors, source=str(newest.path))
    return newest.step


def _digest(description: Mapping[str, Any], tensors: bytes | Path) -> str:
    """SHA-256 of the description without its digest, and of the tensor file."""
    hashed = {name: value for name, value in description.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(hashed, sort_keys=True).encode())
    if isinstance(tensors, bytes):
        digest.update(tensors)
    else:
        with tensors.open("rb") as file:
            for block in iter(lambda: file.read(READ_AT_ONCE), b""):
                digest.update(block)
    return digest.hexdigest()


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
