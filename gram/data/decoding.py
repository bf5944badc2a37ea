"""Decoding of image files to pixels, by Pillow: sizes are checked before anything is decoded."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from gram.data.format import DatasetError
from gram.system.documents import words_of

Pixels = NDArray[np.uint8]
Read = Callable[[str], bytes]
"""The bytes of a file by its name."""

MAX_PIXELS = 2**25
"""Of a picture, so that one of a few kilobytes cannot fill the memory."""
BYTES_AT_ONCE = 2**26
"""Of pixels in a batch of decoded images, an eighth of what may be decoded ahead."""
FILES_AT_ONCE = 1024
"""Most files that threads decode ahead of whoever takes the pixels."""
MAX_THREADS = 8
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""That Pillow decodes by itself; it hands some others to programs."""
SIXTEEN_BITS = 65535
ORIENTATION = 0x0112
"""EXIF's number of it; 1 is upright."""

warnings.filterwarnings("error", "Image size .* exceeds limit")  # Pillow's, where it thinks of a bomb


class Like(NamedTuple):
    """The picture of a data set whose size all others have."""

    name: str
    side: int


def decode(names: Sequence[str], read: Read, folder: Path, like: Like | None = None) -> Iterator[Pixels]:
    """Pixels (side, side, 3) of every file, in order; transparent pictures lie on white.

    Grey of 16 bits is scaled to 8, and pictures are turned as their EXIF says.

    Args:
        names: of the files.
        read: gives their bytes.
        folder: named in messages.
        like: a picture whose size they must have; None takes any.

    Raises:
        DatasetError: a file cannot be decoded, or is too large, not square, or of another size; files before
            it have been yielded.
    """
    if len(names) == 1:
        yield _decode_one(read, folder, like, names[0])
        return
    ahead = FILES_AT_ONCE if like is None else files_at_once(like.side)
    with ThreadPoolExecutor(min(MAX_THREADS, ahead, os.cpu_count() or 1)) as threads:
        for start in range(0, len(names), ahead):
            yield from threads.map(partial(_decode_one, read, folder, like), names[start : start + ahead])


def files_at_once(side: int) -> int:
    """Pictures that may be decoded at a time, by their size."""
    return max(1, min(FILES_AT_ONCE, 8 * BYTES_AT_ONCE // (3 * side * side)))


def _decode_one(read: Read, folder: Path, like: Like | None, name: str) -> Pixels:
    content = read(name)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _require_size(name, folder, image.size, like)
            return _rgb(_upright(image))
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        problem = f"has more than {MAX_PIXELS:,} pixels"
        raise DatasetError(f"{name} in {folder} {problem}: make it smaller") from error
    except UnidentifiedImageError as error:
        raise _undecodable(name, folder, "it is no picture, or of a kind that is not read") from error
    except Exception as error:  # damaged pictures raise whatever their decoder does
        raise _undecodable(name, folder, error) from error


def _upright(image: Image.Image) -> Image.Image:
    if image.getexif().get(ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _rgb(image: Image.Image) -> Pixels:
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _from_sixteen_bits(image)
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers without a known range")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def _from_sixteen_bits(image: Image.Image) -> Pixels:
    """Grey; 65535, which is 257 times 255, is white."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > SIXTEEN_BITS:
        raise ValueError(f"its grey goes from {grey.min()} to {grey.max()}, beyond 16 bits")
    if (clear := image.info.get("transparency")) is not None:
        grey[grey == clear] = SIXTEEN_BITS
    return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)


def _require_size(name: str, folder: Path, size: tuple[int, int], like: Like | None) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise DatasetError(
            f"{name} in {folder} is {width} x {height}, more than {MAX_PIXELS:,} pixels: make it smaller"
        )
    if width != height:
        raise DatasetError(f"{name} in {folder} is {width} x {height}; images must be square: crop them")
    if like is not None and width != like.side:
        raise DatasetError(
            f"{name} has {width} pixels a side, but {like.name} has {like.side}; "
            "all images of a data set need the same size"
        )


def _undecodable(name: str, folder: Path, error: Exception | str) -> DatasetError:
    words = error if isinstance(error, str) else words_of(error)
    return DatasetError(
        f"{name} in {folder} cannot be decoded ({words}); replace the file or remove its label"
    )
