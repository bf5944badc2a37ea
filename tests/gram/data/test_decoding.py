"""With Pillow and without it the same pixels come out of a data set, in order."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_images
from PIL import Image

from gram.data import decoding
from gram.data.format import DatasetError
from gram.data.reader import ImageDataset


@pytest.fixture
def without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_pillow", lambda: None)


def decoded(folder: Path, names: list[str]) -> Iterator[decoding.Pixels]:
    return decoding.decode(names, lambda name: (folder / name).read_bytes(), folder)


def write(folder: Path, images: list[Image.Image]) -> list[str]:
    names = [f"{i}.png" for i in range(len(images))]
    for name, image in zip(names, images, strict=True):
        image.save(folder / name)
    return names


def test_a_data_set_is_the_same_without_pillow(dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    path, images, meta = dataset
    monkeypatch.setattr(decoding, "_pillow", lambda: None)
    read = ImageDataset(path)
    assert torch.equal(read.load_images(), torch.from_numpy(images).permute(0, 3, 1, 2))
    assert read.compute_content_hash() == meta.content_hash
    assert torch.equal(read[2][0], read.load_images()[2])


@pytest.mark.parametrize("at_once", [1, 300, 10**6])
def test_the_order_is_that_of_the_names_whatever_is_decoded_together(
    tmp_path: Path, without_pillow: None, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(decoding, "BYTES_AT_ONCE", at_once)
    images = [*make_images(5, 6), *make_images(3, 4, seed=1), *make_images(2, 6, seed=2)]
    names = write(tmp_path, [Image.fromarray(image) for image in images])
    found = list(decoded(tmp_path, names))
    assert len(found) == 10
    for image, pixels in zip(images, found, strict=True):
        np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("count", [1, 3])
def test_pillow_decodes_more_files_than_it_takes_at_once_in_order(
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


def test_other_pictures_need_pillow(tmp_path: Path, without_pillow: None) -> None:
    names = write(tmp_path, [Image.new("RGB", (4, 4)), Image.new("L", (4, 4))])
    found = decoded(tmp_path, names)
    with pytest.raises(DatasetError, match=r"1\.png in .* without an imaging library .*: install Pillow"):
        list(found)


def test_damage_is_no_reason_to_install_anything(tmp_path: Path, without_pillow: None) -> None:
    (name,) = write(tmp_path, [Image.new("RGB", (4, 4))])
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-5])
    with pytest.raises(DatasetError, match=r"0\.png in .* \(it is cut short\); replace the file or remove"):
        list(decoded(tmp_path, [name]))
