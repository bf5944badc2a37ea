"""Decoding: pixels in order, as every kind of file means them, and bad files refused."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import make_images
from PIL import Image

from gram.data import decoding
from gram.data.format import DatasetError


def decoded(folder: Path, names: list[str]) -> Iterator[decoding.Pixels]:
    return decoding.decode(names, lambda name: (folder / name).read_bytes(), folder)


def write(folder: Path, images: list[Image.Image]) -> list[str]:
    names = [f"{i}.png" for i in range(len(images))]
    for name, image in zip(names, images, strict=True):
        image.save(folder / name)
    return names


@pytest.mark.parametrize("count", [1, 3])
def test_more_files_than_are_decoded_at_once_come_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(decoding, "FILES_AT_ONCE", 2)
    images = make_images(count, 6)
    names = write(tmp_path, [Image.fromarray(image) for image in images])
    np.testing.assert_array_equal(np.stack(list(decoded(tmp_path, names))), images)


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    pixels[1, 1] = (0, 0, 0, 51)  # a fifth of black
    (found,) = decoded(tmp_path, write(tmp_path, [Image.fromarray(pixels)]))
    np.testing.assert_array_equal(found, [[[10, 20, 30], [255] * 3], [[255] * 3, [204] * 3]])


def upright() -> Image.Image:
    return Image.fromarray(make_images(1, 6)[0])


def test_grey_of_sixteen_bits_is_scaled_to_eight(tmp_path: Path) -> None:
    grey = np.array([[0, 128, 129], [257, 25700, 32896], [65535, 65406, 65407]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "0.png")
    with Image.open(tmp_path / "0.png") as image:
        assert image.mode == "I;16"
    (found,) = decoded(tmp_path, ["0.png"])
    expected = [[0, 0, 1], [1, 100, 128], [255, 254, 255]]
    np.testing.assert_array_equal(found, np.repeat(np.array(expected, np.uint8)[..., None], 3, 2))


def test_a_transparent_grey_of_sixteen_bits_is_white(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 500, np.uint16)).save(tmp_path / "0.png", transparency=500)
    (found,) = decoded(tmp_path, ["0.png"])
    assert found.min() == 255


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright().resize((48, 48), Image.Resampling.NEAREST).save(tmp_path / f"0.{suffix}", exif=exif, quality=95)
    (found,) = decoded(tmp_path, [f"0.{suffix}"])
    with Image.open(tmp_path / f"0.{suffix}") as image:
        stored = np.asarray(image)
    turned = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1],
        5: stored.transpose(1, 0, 2), 6: np.rot90(stored, -1), 7: stored[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(stored),
    }  # fmt: skip
    np.testing.assert_array_equal(found, turned[orientation])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_pictures_of_other_modes_come_as_their_colours(tmp_path: Path, mode: str) -> None:
    image = upright().convert("L").convert("RGB")
    if mode == "1":
        image = image.point(([0] * 128 + [255] * 128) * 3)
    file = tmp_path / {"CMYK": "0.tif", "YCbCr": "0.tif"}.get(mode, "0.png")
    (image.quantize() if mode == "P" else image.convert(mode)).save(file)
    (found,) = decoded(tmp_path, [file.name])
    np.testing.assert_allclose(found.astype(int), np.asarray(image, int), atol=1)


def test_a_transparent_colour_of_a_palette_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (2, 2), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "0.png", transparency=0)
    (found,) = decoded(tmp_path, ["0.png"])
    np.testing.assert_array_equal(found, [[[255] * 3, [200, 10, 10]], [[200, 10, 10]] * 2])


def test_numbers_without_a_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / "0.tif")
    Image.fromarray(np.full((2, 2), 70_000, np.int32)).save(tmp_path / "1.tif")
    for name, problem in (("0.tif", "floating-point"), ("1.tif", "from 70000 to 70000, beyond 16 bits")):
        with pytest.raises(DatasetError, match=rf"{name} in .* cannot be decoded .*{problem}.*; replace"):
            list(decoded(tmp_path, [name]))


def bomb(side: int) -> bytes:
    """A PNG of few bytes that claims many pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(999))), (b"IEND", b""))
    )


@pytest.mark.parametrize("side", [6_000, 11_000, 13_000, 50_000])
def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    (tmp_path / "0.png").write_bytes(bomb(side))
    with pytest.raises(DatasetError, match=r"0.png in .* more than 33,554,432 pixels: make") as error:
        list(decoded(tmp_path, ["0.png"]))
    assert "\n" not in str(error.value) and "BytesIO" not in str(error.value)


def test_a_larger_picture_than_the_first_is_refused_before_it_is_decoded(
    tmp_path: Path,
) -> None:
    (tmp_path / "1.png").write_bytes(bomb(64))
    like = decoding.Reference("0.png", 4)
    with pytest.raises(DatasetError, match=r"1.png has 64 pixels a side, but 0.png has 4; all images"):
        list(decoding.decode(["1.png"], lambda name: (tmp_path / name).read_bytes(), tmp_path, like))


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"hello"])
def test_what_is_no_picture_is_named_and_handed_to_no_program(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"0.png in .* \(it is no image, or of an unsupported format\)"):
        list(decoded(tmp_path, ["0.png"]))


def test_pictures_that_are_decoded_ahead_fit_into_memory() -> None:
    assert decoding.files_at_once(64) == decoding.FILES_AT_ONCE
    assert decoding.files_at_once(5_792) * 3 * 5_792**2 <= 8 * decoding.BYTES_AT_ONCE
