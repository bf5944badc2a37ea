"""Depth maps on disk: NumPy files, whose headers are checked before the data is read."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray

from gram.data.format import DatasetError
from gram.system.documents import one_line


def read_depth(content: bytes, size: int, source: str) -> NDArray[np.float32]:
    """Read the distance along the ray of every pixel (size, size), NaN for background.

    Args:
        content: bytes of the file.
        size: image side in pixels.
        source: name of the file in messages.

    Raises:
        DatasetError: no NumPy file, or another type or shape.
    """
    try:
        shape, dtype = _header(content)
        fits = shape == (size, size) and dtype.kind == "f"
        depth = np.load(io.BytesIO(content), allow_pickle=False).astype(np.float32) if fits else None
    except Exception as error:  # a damaged header raises whatever its parser does
        problem = f"is no NumPy file of depth ({one_line(error)})"
        raise DatasetError(f"{source} {problem}; replace or remove it") from error
    if depth is None:
        raise DatasetError(
            f"{source} holds {dtype} of shape {shape}, not floats of ({size}, {size}); replace or remove it"
        )
    return depth


def _header(content: bytes) -> tuple[tuple[int, ...], np.dtype]:
    file = io.BytesIO(content)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, _, dtype = read[np.lib.format.read_magic(file)](file)
    return shape, dtype
