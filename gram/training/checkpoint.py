"""Checkpoints of unfinished training: folders `step-00001000`, complete or absent; tensors and JSON only."""

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
"""Bytes."""
REMEDY = "remove its folder to go on from an older one"
_NAME = re.compile(r"step-(\d{8})")


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


class DamagedError(ValueError):
    """A checkpoint whose files are not those that were written; the message names one."""


class Damaged(NamedTuple):
    """A checkpoint that cannot be read, and why."""

    path: Path
    error: DamagedError


class Checkpoint(NamedTuple):
    """What a folder holds; `conditions` are those that `save` was told, `damaged` are newer ones."""

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
    content = safetensors.torch.save(tensors)
    description = {"format": FORMAT, "step": state.step, "conditions": dict(conditions or {})}
    description["digest"] = _digest(description, content)
    write_folder(path, {TENSORS: content, DESCRIPTION: json.dumps(description, indent=1).encode()})
    for old in steps(folder)[:-keep]:
        if not keep_every or old % keep_every:
            shutil.rmtree(_path(folder, old))
    return path


def steps(folder: Path) -> list[int]:
    """Steps of all checkpoints in a folder, in order."""
    names = (_NAME.fullmatch(path.name) for path in folder.glob("step-*"))
    return sorted(int(name[1]) for name in names if name)


def newest_step(folder: Path) -> int | None:
    """Step of the newest checkpoint in a folder; None where there is none."""
    return max(steps(folder), default=None)


def read_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that is whole, tensors on the CPU; None where there is none at all.

    Raises:
        DamagedError: all are damaged.
        ValueError: the newest was made by another version of the format.
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
    """The checkpoint of a folder `step-*`, tensors on the CPU.

    Raises:
        DamagedError: its files are not those that were written.
        ValueError: there is none, or it was made by another version of the format.
    """
    file = path / DESCRIPTION
    if not file.is_file():
        if _NAME.fullmatch(path.name) and path.is_dir():
            raise DamagedError(f"{file} is missing: {REMEDY}")
        raise ValueError(f"{path} is no checkpoint: it is a folder step-* of checkpoints/")
    try:
        told = documents.read(file, _Description, remedy=REMEDY)
        if told["format"] != FORMAT:
            raise ValueError(
                f"{path} has format {told['format']}, this program reads {FORMAT}: remove it to start anew"
            )
        if (name := _NAME.fullmatch(path.name)) and int(name[1]) != told["step"]:
            raise DamagedError(f"{file}: step is {told['step']}, not that of the folder: {REMEDY}")
        tensors = tensor_files.read_all(path / TENSORS)
        if told.get("digest", (digest := _digest(told, path / TENSORS))) != digest:
            raise DamagedError(f"{path} does not hold the bytes that were written into it: {REMEDY}")
    except (documents.DocumentError, tensor_files.TensorFileError) as error:
        raise DamagedError(str(error)) from error
    return Checkpoint(path, told["step"], tensors, told.get("conditions", {}))


def restore(state: Resumable, step: int, tensors: dict[str, Tensor], *, source: str) -> None:
    """Bring `state` to a step; `source` names the tensors in messages.

    Raises:
        ValueError: they do not fit `state`.
    """
    try:
        state.load_tensors(tensors)
    except (RuntimeError, KeyError, ValueError) as error:
        words = documents.words_of(error)
        raise ValueError(f"{source} is not of this model ({words}): remove it to start anew") from error
    state.step = step


def load_newest(folder: Path, state: Resumable) -> int | None:
    """Bring `state` to the newest checkpoint, if there is one.

    Returns:
        Its step.

    Raises:
        ValueError: it does not fit `state`, or was made by another version of the format; or all there are
            are damaged.
    """
    found = read_newest(folder)
    if found is None:
        return None
    restore(state, found.step, found.tensors, source=str(found.path))
    return found.step


def _digest(description: Mapping[str, Any], tensors: bytes | Path) -> str:
    """SHA-256 of the description, its own digest left out, and the file of tensors."""
    told = {name: value for name, value in description.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    if isinstance(tensors, bytes):
        digest.update(tensors)
    else:
        with tensors.open("rb") as file:
            for block in iter(lambda: file.read(READ_AT_ONCE), b""):
                digest.update(block)
    return digest.hexdigest()


def _path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"
