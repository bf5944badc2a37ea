"""PNGs without an imaging library: the same bytes as Pillow, and a clear word about everything else."""

import io
import itertools
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from gram.data.png import SIGNATURE, PngError, UnsupportedError, read_lines, undo_filters

Pixels = NDArray[np.uint8]
HEADER = struct.Struct(">IIBBBBB")


def noise(*shape: int) -> Pixels:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


def smooth(height: int, width: int) -> Pixels:
    y, x, channel = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return (128 + 120 * np.sin(0.3 * x + 0.2 * y * (1 + channel))).astype(np.uint8)


def predicted(filter_type: int, left: int, up: int, corner: int) -> int:
    """What the PNG specification (section 9.2) predicts for a byte, one byte at a time."""
    if filter_type == 4:
        estimate = left + up - corner
        return min((left, up, corner), key=lambda value: abs(estimate - value))
    return (0, left, up, (left + up) // 2)[filter_type]


def encode(pixels: Pixels, filters: list[int], *, parts: int = 1) -> bytes:
    """A PNG whose lines have the given filters, its pixels in several IDAT chunks."""
    height, width, _ = pixels.shape
    image = np.zeros((height + 1, width + 1, 3), int)
    image[1:, 1:] = pixels
    data = bytearray()
    for row, kind in enumerate(filters, start=1):
        data.append(kind)
        for column in range(1, width + 1):
            for c in range(3):
                around = image[row, column - 1, c], image[row - 1, column, c], image[row - 1, column - 1, c]
                data.append((image[row, column, c] - predicted(kind, *map(int, around))) % 256)
    packed = zlib.compress(bytes(data))
    cuts = np.linspace(0, len(packed), parts + 1).astype(int)
    chunks = [(b"IHDR", HEADER.pack(width, height, 8, 2, 0, 0, 0)), (b"tEXt", b"Comment\0none")]
    chunks += [(b"IDAT", packed[a:b]) for a, b in itertools.pairwise(cuts)]
    return assemble([*chunks, (b"IEND", b"")])


def assemble(chunks: list[tuple[bytes, bytes]]) -> bytes:
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def by_pillow(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def written_by_pillow(image: Image.Image, kind: str = "png", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "picture", [noise(7, 5, 3), smooth(9, 6), noise(1, 1, 3)], ids=["noise", "smooth", "one"]
)
@pytest.mark.parametrize("kind", [0, 1, 2, 3, 4])
def test_every_filter_gives_the_pixels_back_as_pillow_does(kind: int, picture: Pixels) -> None:
    content = encode(picture, [kind] * len(picture), parts=3)
    found = undo_filters(read_lines(content)[None])[0]
    np.testing.assert_array_equal(found, picture)
    np.testing.assert_array_equal(found, by_pillow(content))


def test_pictures_with_different_filters_are_decoded_together() -> None:
    pictures = noise(40, 6, 5, 3)
    pictures[::2] = smooth(6, 5)
    filters = np.random.default_rng(0).integers(0, 5, (40, 6)).tolist()
    contents = [encode(picture, kinds) for picture, kinds in zip(pictures, filters, strict=True)]
    found = undo_filters(np.stack([read_lines(content) for content in contents]))
    np.testing.assert_array_equal(found, pictures)
    np.testing.assert_array_equal(found, np.stack([by_pillow(content) for content in contents]))


@pytest.mark.parametrize("size", [(64, 64), (33, 17)])
@pytest.mark.parametrize("options", [{"compress_level": 0}, {"compress_level": 4}, {"optimize": True}])
def test_files_of_pillow_are_read_to_the_byte(size: tuple[int, int], options: dict[str, Any]) -> None:
    for picture in (smooth(*size), noise(*size, 3)):
        content = written_by_pillow(Image.fromarray(picture), **options)
        np.testing.assert_array_equal(undo_filters(read_lines(content)[None])[0], picture)


def test_two_thousand_pictures_of_64_pixels_take_less_than_six_seconds_of_a_core() -> None:
    kinds = np.random.default_rng(0).integers(0, 5, (20, 64)).tolist()
    contents = [encode(smooth(64, 64), kind) for kind in kinds] * 100
    start = time.process_time()
    pixels = undo_filters(np.stack([read_lines(content) for content in contents]))
    assert time.process_time() - start < 6.0
    assert (pixels == smooth(64, 64)).all()


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_other_pixels_are_left_to_an_imaging_library(mode: str) -> None:
    with pytest.raises(UnsupportedError, match="no 8-bit RGB PNG without transparency, interlacing and EXIF"):
        read_lines(written_by_pillow(Image.new(mode, (4, 4))))


def test_interlaced_and_transparent_pictures_are_left_to_an_imaging_library() -> None:
    lines = zlib.compress(bytes(4 * 13))
    header = HEADER.pack(4, 4, 8, 2, 0, 0, 0)
    end = [(b"IDAT", lines), (b"IEND", b"")]
    assert read_lines(assemble([(b"IHDR", header), *end])).shape == (4, 13)
    for chunks in ([(b"IHDR", header[:-1] + b"\1")], [(b"IHDR", header), (b"tRNS", bytes(6))]):
        with pytest.raises(UnsupportedError):
            read_lines(assemble([*chunks, *end]))


@pytest.mark.parametrize("content", [b"", b"hello", written_by_pillow(Image.new("RGB", (4, 4)), "jpeg")])
def test_what_is_no_png_is_called_so(content: bytes) -> None:
    with pytest.raises(UnsupportedError, match="it is no PNG"):
        read_lines(content)


CONTENT = encode(smooth(5, 4), [0, 1, 2, 3, 4])


@pytest.mark.parametrize("length", range(len(SIGNATURE), len(CONTENT)))
def test_a_file_cut_short_anywhere_is_damaged(length: int) -> None:
    with pytest.raises(PngError, match="it is cut short"):
        read_lines(CONTENT[:length])


def test_a_changed_bit_anywhere_is_noticed() -> None:
    for place in range(len(CONTENT)):
        broken = bytearray(CONTENT)
        broken[place] ^= 1 << (place % 8)
        with pytest.raises(PngError):
            read_lines(bytes(broken))


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (b"nonsense", "its pixels are damaged"),
        (zlib.compress(bytes(25)), "it has 25 bytes of pixels where 26 belong"),
        (zlib.compress(bytes(10**6)), "it has 27 bytes of pixels where 26 belong"),
        (zlib.compress(b"\5" + bytes(25)), "lines of the unknown filter 5"),
    ],
)
def test_pixels_that_do_not_fit_the_header_are_refused(pixels: bytes, message: str) -> None:
    header = HEADER.pack(4, 2, 8, 2, 0, 0, 0)
    with pytest.raises(PngError, match=message):
        read_lines(assemble([(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]))
