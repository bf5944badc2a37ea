"""Image files to pixels: by Pillow where it is installed, else by `gram.data.png`."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from gram.data import png
from gram.data.format import DatasetError

Pixels = NDArray[np.uint8]
Read = Callable[[str], bytes]
"""The bytes of a file by its name."""

BYTES_AT_ONCE = 2**26
"""Of pixels that are decoded together without Pillow."""
FILES_AT_ONCE = 1024
"""That threads decode with Pillow ahead of whoever takes the pixels."""
MAX_THREADS = 8


def decode(names: Sequence[str], read: Read, folder: Path) -> Iterator[Pixels]:
    """Pixels (height, width, 3) of every file, in order; transparent pictures lie on white.

    Args:
        names: of the files.
        read: gives their bytes.
        folder: named in messages.

    Raises:
        DatasetError: a file cannot be decoded; files before it have been yielded.
    """
    pillow = _pillow()
    if pillow is None:
        yield from _decode_together(names, read, folder)
    elif len(names) == 1:
        yield _decode_one(pillow, read, folder, names[0])
    else:
        with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as threads:
            for start in range(0, len(names), FILES_AT_ONCE):
                some = names[start : start + FILES_AT_ONCE]
                yield from threads.map(partial(_decode_one, pillow, read, folder), some)


@cache
def _pillow() -> ModuleType | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    return Image


def _decode_one(pillow: ModuleType, read: Read, folder: Path, name: str) -> Pixels:
    try:
        with pillow.open(io.BytesIO(read(name))) as image:
            if image.has_transparency_data:
                image = image.convert("RGBA")
                image = pillow.alpha_composite(pillow.new("RGBA", image.size, "white"), image)
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # that of an unknown format is an OSError
        raise _undecodable(name, folder, error) from error


def _decode_together(names: Sequence[str], read: Read, folder: Path) -> Iterator[Pixels]:
    """Pictures of equal size that follow each other are decoded together."""
    waiting: list[Pixels] = []
    for name in names:
        try:
            lines = png.read_lines(read(name))
        except png.UnsupportedError as error:
            raise DatasetError(
                f"{name} in {folder} cannot be decoded without an imaging library ({error}): install Pillow"
            ) from error
        except png.PngError as error:
            raise _undecodable(name, folder, error) from error
        full = len(waiting) * lines.size >= BYTES_AT_ONCE
        if waiting and (full or waiting[0].shape != lines.shape):
            yield from png.undo_filters(np.stack(waiting))
            waiting = []
        waiting.append(lines)
    if waiting:
        yield from png.undo_filters(np.stack(waiting))


def _undecodable(name: str, folder: Path, error: Exception) -> DatasetError:
    return DatasetError(
        f"{name} in {folder} cannot be decoded ({error}); replace the file or remove its label"
    )
