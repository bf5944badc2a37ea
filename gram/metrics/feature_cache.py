"""Cache of features on disk, one safetensors file per image set, keyed by all inputs."""

import hashlib
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from gram.shapes import Float
from gram.system.folders import write_file

# Incremented when preprocessing or arithmetic of an extractor changes; invalidates older files.
VERSION = 1


def cache_path(
    folder: str | Path,
    *,
    images_hash: str,
    count: int,
    size: tuple[int, int],
    extractor: str,
    layer: str,
    weights_hash: str,
) -> Path:
    """Path of the features of the first `count` images of a set, unique to the arguments.

    Args:
        folder: folder of the cache.
        images_hash: content hash of the whole set.
        count: number of images, from the first on.
        size: (height, width) of the images in pixels.
        extractor: name of the extractor.
        layer: layer of the extractor.
        weights_hash: hash of its weights.
    """
    key = repr((VERSION, images_hash, count, size, extractor, layer, weights_hash))
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return Path(folder) / f"{extractor}-{count}x{size[0]}x{size[1]}-{digest}.safetensors"


def read_features(path: Path, count: int) -> Float[Tensor, "num dims"] | None:
    """Read cached features; None if the file is missing or damaged (and then rewritten)."""
    try:
        values = safetensors.torch.load_file(path)["features"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
    return values if values.ndim == 2 and len(values) == count else None


def write_features(path: Path, values: Float[Tensor, "num dims"]) -> None:
    """Write features to the cache, atomically."""
    write_file(path, safetensors.torch.save({"features": values.contiguous()}))
