"""Small data sets that the tests of this folder share."""

import numpy as np
import pytest

from gram.data.writer import DatasetWriter

FOV = float(np.deg2rad(12.0))
POSES = [(1.5, 1.2), (1.6, 1.9), (1.4, 1.5), (1.7, 1.7)]


def make_images(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def write_dataset(
    path, *, size: int = 8, poses=POSES, seed: int = 0, depth: bool = True, overwrite: bool = False
):
    """A data set of noise; returns its images and what `finish` returned."""
    images = make_images(len(poses), size, seed)
    with DatasetWriter(path, size=size, fov=FOV, overwrite=overwrite) as writer:
        for k, (image, pose) in enumerate(zip(images, poses, strict=True)):
            distances = np.where(np.eye(size) > 0, np.nan, 1.0 + 0.01 * k) if depth else None
            writer.add(image, pose, identity=k // 2, depth=distances)
        meta = writer.finish(
            kind="heads", near=0.88, far=1.12, background="plane", split="train", licence="CC0-1.0", seed=3
        )
    return images, meta


@pytest.fixture
def dataset(tmp_path):
    """(path, images (4, 8, 8, 3), meta) of a small data set on disk."""
    path = tmp_path / "set"
    images, meta = write_dataset(path)
    return path, images, meta
