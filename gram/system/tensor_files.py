"""Reading of untrusted safetensors files, whose headers are checked before any tensor is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from gram.system.documents import one_line, shown

FLOATS = ("F16", "BF16", "F32", "F64")


class TensorFileError(ValueError):
    """Damaged file, no safetensors file, or one with other tensors than expected."""


class Stored(NamedTuple):
    """Header of a tensor in a file; `kind` is the data type in safetensors' notation."""

    shape: tuple[int, ...]
    kind: str


def stored(path: Path) -> dict[str, Stored]:
    """Read the header of a file: shape and kind of the tensors by name.

    Raises:
        TensorFileError: the file is missing, damaged or no safetensors file.
        OSError: the file cannot be read.
    """
    if not path.is_file():
        raise TensorFileError(f"{path} is missing: copy it again")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}
            return {name: Stored(tuple(p.get_shape()), p.get_dtype()) for name, p in parts.items()}
    except safetensors.SafetensorError as error:
        words = one_line(error)
        raise TensorFileError(f"{path} is damaged or no safetensors file ({words}): copy it again") from error


def read_all(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a file; raises the errors of `stored`."""
    stored(path)
    return safetensors.torch.load_file(path)


def described(tensor: Tensor) -> Stored:
    """Header of a tensor in memory; kinds that safetensors does not know have torch's names."""
    name = str(tensor.dtype).removeprefix("torch.")
    return Stored(tuple(tensor.shape), {"bfloat16": "BF16"}.get(name, name.replace("float", "F")))


def read(path: Path, wanted: Mapping[str, Tensor], *, described_by: str) -> dict[str, Tensor]:
    """Read the tensors of a module, after the header of the file was checked.

    Args:
        path: path of the file.
        wanted: tensors of the expected shapes by name, on any device including meta.
        described_by: name of the file that describes the module, for messages.

    Raises:
        TensorFileError: see `stored`; or tensors are missing, unknown, misshapen, or not finite.
        OSError: the file cannot be read.
    """
    if problems := list(misfits(wanted, stored(path))):
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise TensorFileError(f"{path} does not fit {described_by}: {shown}")
    tensors = safetensors.torch.load_file(path)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise TensorFileError(f"{path}: {name} holds numbers that are not finite: copy or train it again")
    return tensors


def misfits(wanted: Mapping[str, Tensor], present: Mapping[str, Stored]) -> Iterable[str]:
    """Describe missing, unknown, misshapen and non-real tensors, one sentence each."""
    yield from (f"{name} is missing" for name in wanted if name not in present)
    yield from (f"{shown(name)} is unknown" for name in present if name not in wanted)
    for name, tensor in wanted.items():
        shape, kind = present.get(name, Stored(tuple(tensor.shape), "F32"))
        if shape != tuple(tensor.shape):
            yield f"{name} has shape {shape}, not {tuple(tensor.shape)}"
        if kind not in FLOATS:
            yield f"{name} holds numbers of kind {kind}, not one of {', '.join(FLOATS)}"
