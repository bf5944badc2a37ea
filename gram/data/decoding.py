"""Image decoding with Pillow; sizes are checked before anything is decoded."""

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
from gram.system.documents import one_line

Pixels = NDArray[np.uint8]
Read = Callable[[str], bytes]
"""Function from the name of a file to its bytes."""

MAX_PIXELS = 2**25
"""Maximum number of pixels of an image, against decompression bombs."""
BYTES_AT_ONCE = 2**26
"""Bytes of decoded pixels in a batch; eight batches may be decoded ahead."""
FILES_AT_ONCE = 1024
"""Maximum number of files decoded ahead of the consumer."""
MAX_THREADS = 8
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Formats that Pillow decodes itself; for some others it starts programs."""
SIXTEEN_BITS = 65535
ORIENTATION = 0x0112
"""EXIF tag of the orientation; 1 is upright."""

warnings.filterwarnings("error", "Image size .* exceeds limit")  # Pillow's warning of a decompression bomb


class Reference(NamedTuple):
    """Image of a data set whose size all others must have."""

    name: str
    side: int


def decode(
    names: Sequence[str], read: Read, folder: Path, reference: Reference | None = None
) -> Iterator[Pixels]:
    """Decode the pixels (side, side, 3) of every file, in order.

    Transparent images are composited on white, 16-bit grey is scaled to 8 bits, and the EXIF orientation is
    applied.

    Args:
        names: names of the files.
        read: function that returns their bytes.
        folder: name of the data set in messages.
        reference: image whose size they must have; None accepts any.

    Raises:
        DatasetError: a file cannot be decoded, or is too large, not square, or of another size; files before
            it have been yielded.
    """
    if len(names) == 1:
        yield _decode_one(read, folder, reference, names[0])
        return
    ahead = FILES_AT_ONCE if reference is None else files_at_once(reference.side)
    with ThreadPoolExecutor(min(MAX_THREADS, ahead, os.cpu_count() or 1)) as threads:
        for start in range(0, len(names), ahead):
            yield from threads.map(
                partial(_decode_one, read, folder, reference), names[start : start + ahead]
            )


def files_at_once(side: int) -> int:
    """Maximum number of images of this size decoded at a time."""
    return max(1, min(FILES_AT_ONCE, 8 * BYTES_AT_ONCE // (3 * side * side)))


def _decode_one(read: Read, folder: Path, reference: Reference | None, name: str) -> Pixels:
    content = read(name)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _require_size(name, folder, image.size, reference)
            return _rgb(_upright(image))
    except DatasetError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        problem = f"has more than {MAX_PIXELS:,} pixels"
        raise DatasetError(f"{name} in {folder} {problem}: make it smaller") from error
    except UnidentifiedImageError as error:
        raise _undecodable(name, folder, "it is no image, or of an unsupported format") from error
    except Exception as error:  # decoders of damaged images raise anything
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
    """Scale 16-bit grey to 8 bits; 65535 = 257 * 255 is white."""
    grey = np.asarray(image).astype(np.int64)
    if grey.min() < 0 or grey.max() > SIXTEEN_BITS:
        raise ValueError(f"its grey goes from {grey.min()} to {grey.max()}, beyond 16 bits")
    if (clear := image.info.get("transparency")) is not None:
        grey[grey == clear] = SIXTEEN_BITS
    return np.repeat(((grey + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)


def _require_size(name: str, folder: Path, size: tuple[int, int], reference: Reference | None) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise DatasetError(
            f"{name} in {folder} is {width} x {height}, more than {MAX_PIXELS:,} pixels: make it smaller"
        )
    if width != height:
        raise DatasetError(f"{name} in {folder} is {width} x {height}; images must be square: crop them")
    if reference is not None and width != reference.side:
        raise DatasetError(
            f"{name} has {width} pixels a side, but {reference.name} has {reference.side}; "
            "all images of a data set need the same size"
        )


def _undecodable(name: str, folder: Path, error: Exception | str) -> DatasetError:
    words = error if isinstance(error, str) else one_line(error)
    return DatasetError(
        f"{name} in {folder} cannot be decoded ({words}); replace the file or remove its label"
    )
