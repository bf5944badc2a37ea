"""PNGs of 8-bit RGB pixels with zlib and NumPy alone, for machines without an imaging library.

A line of a PNG is stored as differences to its neighbours. Undoing that goes from pixel to pixel for two of
the five filters: slow for one picture, quick for thousands of one size, as each step takes all of them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = 3
_RGB = (8, 2, 0, 0, 0)
"""Bit depth, colour type, compression, filter method and interlacing of the header."""


class PngError(ValueError):
    """A damaged file; the message says what is wrong with it."""


class UnsupportedError(PngError):
    """A picture of another kind, which an imaging library reads."""


def read_size(content: bytes) -> tuple[int, int]:
    """Width and height of a PNG file, from its header; errors as those of `read_lines`."""
    if not content.startswith(SIGNATURE):
        raise UnsupportedError("it is no PNG")
    kind, header = next(_chunks(content))
    if kind != b"IHDR" or len(header) != 13:
        raise PngError("it has no header")
    width, height = struct.unpack_from(">II", header)
    return width, height


def read_lines(content: bytes) -> Bytes:
    """The lines of a PNG file as they are stored, (height, 1 + 3 * width) with the filter's number first.

    Raises:
        UnsupportedError: the file is no PNG, or its pixels are not 8-bit RGB, upright, without transparency.
        PngError: it is damaged.
    """
    width, height = read_size(content)
    chunks = list(_chunks(content))
    if tuple(chunks[0][1][8:]) != _RGB or any(kind in (b"tRNS", b"eXIf") for kind, _ in chunks):
        raise UnsupportedError("it is no 8-bit RGB PNG without transparency, interlacing and EXIF")
    size = height * (1 + CHANNELS * width)
    try:
        data = zlib.decompressobj().decompress(b"".join(d for k, d in chunks if k == b"IDAT"), size + 1)
    except zlib.error as error:
        raise PngError(f"its pixels are damaged: {error}") from error
    if len(data) != size or size == 0:
        raise PngError(f"it has {len(data)} bytes of pixels where {size} belong")
    lines = np.frombuffer(data, np.uint8).reshape(height, -1)
    if lines[:, 0].max() >= len(_UNDO):
        raise PngError(f"it has lines of the unknown filter {lines[:, 0].max()}")
    return lines


def undo_filters(lines: Bytes) -> Bytes:
    """Pixels (count, height, width, 3) of many pictures' lines (count, height, 1 + 3 * width)."""
    count, height, length = lines.shape
    pixels = np.zeros((count, height, length // CHANNELS, CHANNELS), np.uint8)
    above = np.zeros_like(pixels[:, 0])
    for row in range(height):
        filters = lines[:, row, 0]
        stored = lines[:, row, 1:].reshape(above.shape)
        for number in np.unique(filters):
            mine = np.flatnonzero(filters == number)
            pixels[mine, row] = _UNDO[number](stored[mine], above[mine])
        above = pixels[:, row]
    return pixels


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, data) of every chunk, checked, up to the last."""
    place, kind = len(SIGNATURE), b""
    while kind != b"IEND":
        if len(content) < place + 12:
            raise PngError("it is cut short")
        length, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + length]
        place += 12 + length
        if len(content) < place:
            raise PngError("it is cut short")
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(content[place - 4 : place]):
            raise PngError(f"the checksum of its part {kind.decode('latin-1')} is wrong")
        yield kind, data


# A line and the one above it, (count, width, 3) each; sums are meant modulo 256.


def _undo_none(stored: Bytes, above: Bytes) -> Bytes:
    return stored


def _undo_sub(stored: Bytes, above: Bytes) -> Bytes:
    return np.cumsum(stored, axis=1, dtype=np.uint8)


def _undo_up(stored: Bytes, above: Bytes) -> Bytes:
    return stored + above


def _undo_average(stored: Bytes, above: Bytes) -> Bytes:
    line, above = (np.ascontiguousarray(x.transpose(1, 0, 2)) for x in (stored, above))
    left = np.zeros_like(line[0])
    for x in range(len(line)):
        line[x] += (left & above[x]) + ((left ^ above[x]) >> 1)  # their mean, rounded down, in 8 bits
        left = line[x]
    return line.transpose(1, 0, 2)


def _undo_paeth(stored: Bytes, above: Bytes) -> Bytes:
    """Each pixel was predicted as that of left, up and corner which is nearest to left + up - corner."""
    line, up = (np.ascontiguousarray(x.transpose(1, 0, 2), np.int16) for x in (stored, above))
    corner = np.concatenate([np.zeros_like(up[:1]), up[:-1]])
    rise = up - corner
    to_left = np.abs(rise)
    left = np.zeros_like(line[0])
    for x in range(len(line)):
        run = left - corner[x]
        to_up, to_corner = np.abs(run), np.abs(run + rise[x])
        nearest = np.where(to_up <= to_corner, up[x], corner[x])
        nearest = np.where(to_left[x] <= np.minimum(to_up, to_corner), left, nearest)
        left = line[x] = (line[x] + nearest) & 255
    return line.transpose(1, 0, 2).astype(np.uint8)


_UNDO: tuple[Callable[[Bytes, Bytes], Bytes], ...] = (
    _undo_none, _undo_sub, _undo_up, _undo_average, _undo_paeth,
)  # fmt: skip
