"""safetensors files that others wrote: what is in them is known before any of it is read."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import safetensors
import safetensors.torch
from torch import Tensor

from gram.system.documents import one_line, shown

FLOATS = ("F16", "BF16", "F32", "F64")


class TensorFileError(ValueError):
    """A file that is damaged, no safetensors file, or does not hold what is wanted."""


class Stored(NamedTuple):
    """A tensor in a file; `kind` is safetensors' name of its numbers."""

    shape: tuple[int, ...]
    kind: str


def stored(path: Path) -> dict[str, Stored]:
    """Name -> shape and kind of the tensors of a file, from its header.

    Raises:
        TensorFileError: it is absent, damaged or no safetensors file.
        OSError: it cannot be read.
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
    """All tensors of a file; errors as those of `stored`."""
    stored(path)
    return safetensors.torch.load_file(path)


def described(tensor: Tensor) -> Stored:
    """A tensor in memory as the header of a file would tell of it; other kinds by torch's names."""
    name = str(tensor.dtype).removeprefix("torch.")
    return Stored(tuple(tensor.shape), {"bfloat16": "BF16"}.get(name, name.replace("float", "F")))


def read(path: Path, wanted: Mapping[str, Tensor], *, described_by: str) -> dict[str, Tensor]:
    """The tensors of a file, which are those of a module; nothing is read where they are not.

    Args:
        path: of the file.
        wanted: name -> a tensor of that shape, on any device, also the one without memory.
        described_by: file that says what is wanted, for messages.

    Raises:
        TensorFileError: as `stored`; or tensors are missing, unknown, misshapen, or no finite numbers.
        OSError: it cannot be read.
    """
    if problems := list(misfits(wanted, stored(path))):
        shown = "; ".join(problems[:5]) + (f"; and {len(problems) - 5} more" if len(problems) > 5 else "")
        raise TensorFileError(f"{path} does not fit {described_by}: {shown}")
    tensors = safetensors.torch.load_file(path)
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise TensorFileError(f"{path}: {name} holds numbers that are not finite: copy or train it again")
    return tensors


def misfits(wanted: Mapping[str, Tensor], found: Mapping[str, Stored]) -> Iterable[str]:
    """What is missing, unknown, misshapen or no real numbers, a sentence each."""
    yield from (f"{name} is missing" for name in wanted if name not in found)
    yield from (f"{shown(name)} is unknown" for name in found if name not in wanted)
    for name, tensor in wanted.items():
        shape, kind = found.get(name, Stored(tuple(tensor.shape), "F32"))
        if shape != tuple(tensor.shape):
            yield f"{name} has shape {shape}, not {tuple(tensor.shape)}"
        if kind not in FLOATS:
            yield f"{name} holds numbers of kind {kind}, not one of {', '.join(FLOATS)}"
