"""Features kept on disk, one safetensors file a set, found again by what they were computed from."""

import hashlib
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from gram.shapes import Float
from gram.system.folders import write_file

# Raised whenever an extractor's preprocessing or arithmetic changes its numbers: older files are then not
# found.
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
    """Where the features of the first `count` images of a set belong; different for any other input.

    Args:
        folder: Folder of the cache.
        images_hash: Content hash of the whole set.
        count: How many of its images, from the first on.
        size: (height, width) at which they were read, in pixels.
        extractor: Name of the extractor.
        layer: Its layer.
        weights_hash: Hash of its weights.
    """
    key = repr((VERSION, images_hash, count, size, extractor, layer, weights_hash))
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    return Path(folder) / f"{extractor}-{count}x{size[0]}x{size[1]}-{digest}.safetensors"


def read_features(path: Path, count: int) -> Float[Tensor, "num dims"] | None:
    """The kept features, or None if there are none or the file is damaged (it is then written anew)."""
    try:
        values = safetensors.torch.load_file(path)["features"]
    except (FileNotFoundError, SafetensorError, KeyError):
        return None
    return values if values.ndim == 2 and len(values) == count else None


def write_features(path: Path, values: Float[Tensor, "num dims"]) -> None:
    """Keeps features; a reader, or a second process that writes the same, never sees half a file."""
    write_file(path, safetensors.torch.save({"features": values.contiguous()}))
