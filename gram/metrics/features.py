"""Features of image sets, cached on disk by content.

An image set is a uint8 tensor of shape (N, 3, H, W), or a `Dataset` whose items are uint8 tensors of shape
(3, H, W) or tuples that start with one. All images of a set have the same size.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from gram.metrics.extractors import Extractor
from gram.metrics.feature_cache import cache_path, read_features, write_features
from gram.shapes import Float

Images = Tensor | Dataset[Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Features:
    """Features of a set of images, with all that must be equal in comparisons.

    Slicing selects images: `features[:500]`.

    Attributes:
        values: one row per image, in order, on the CPU.
        size: (height, width) of the images in pixels, before the extractor resizes them.
        extractor: name of the extractor.
        weights_hash: sha256 of the extractor's weights file.
        images_hash: content hash of the image set, if known.
    """

    values: Float[Tensor, "num dims"]
    size: tuple[int, int]
    extractor: str
    weights_hash: str
    images_hash: str | None = None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, part: slice) -> "Features":
        return replace(self, values=self.values[part])


def extract_features(
    images: Images,
    extractor: Extractor,
    *,
    limit: int | None = None,
    batch_size: int = 64,
    images_hash: str | None = None,
    cache_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Features:
    """Extract features of the first `limit` images (all of them by default).

    With `cache_dir`, features of a set whose content hash is known (given as `images_hash`, or computed for a
    tensor) are cached, keyed by images, number, size, extractor and weights.

    Args:
        images: image set, see the module.
        extractor: result of `load_extractor`.
        limit: number of images, from the first on.
        batch_size: images sent to the device at once.
        images_hash: content hash of all pixels of the whole set.
        cache_dir: folder of cached features; created when needed.
        progress: called with (images done, images in total) after every batch; once on a cache hit.

    Raises:
        ValueError: the set is empty or smaller than `limit`, or its images are not uint8 RGB of one size.
    """
    count = _count(images, limit)
    size = _size(_image(images, 0))
    if images_hash is None and cache_dir is not None and isinstance(images, Tensor):
        images_hash = _hash_pixels(images)
    path = None
    if cache_dir is not None and images_hash is not None:
        path = _path(cache_dir, images_hash, count, size, extractor)
    values = None if path is None else read_features(path, count)
    if values is None:
        values = _extract(images, extractor, count, batch_size, progress)
        if path is not None:
            write_features(path, values)
    elif progress is not None:
        progress(count, count)
    return Features(
        values=values,
        size=size,
        extractor=extractor.name,
        weights_hash=extractor.weights_hash,
        images_hash=images_hash,
    )


def _path(
    folder: str | Path, images_hash: str, count: int, size: tuple[int, int], extractor: Extractor
) -> Path:
    return cache_path(
        folder,
        images_hash=images_hash,
        count=count,
        size=size,
        extractor=extractor.name,
        layer=extractor.layer,
        weights_hash=extractor.weights_hash,
    )


def _extract(
    images: Images, extractor: Extractor, count: int, batch_size: int, progress: Progress | None
) -> Float[Tensor, "num dims"]:
    parts, done = [], 0
    for batch in _batches(images, count, batch_size):
        parts.append(extractor(batch))
        done += len(batch)
        if progress is not None:
            progress(done, count)
    return torch.cat(parts)


def _batches(images: Images, count: int, batch_size: int) -> Iterator[Tensor]:
    size = _size(_image(images, 0))
    for start in range(0, count, batch_size):
        stop = min(start + batch_size, count)
        if isinstance(images, Tensor):
            yield images[start:stop]
            continue
        batch = [_image(images, index) for index in range(start, stop)]
        for index, image in enumerate(batch, start):
            if _size(image) != size:
                raise ValueError(
                    f"Image {index} has {_size(image)} pixels but image 0 has {size}; a set needs one size."
                )
        yield torch.stack(batch)


def _image(images: Images, index: int) -> Tensor:
    item = images[index]
    image = item[0] if isinstance(item, (tuple, list)) else item
    if not isinstance(image, Tensor):
        raise ValueError(
            f"Image {index} is a {type(image).__name__}; features need uint8 tensors (3, height, width)."
        )
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(
            f"Image {index} is a {image.dtype} tensor of shape {tuple(image.shape)}; features need "
            "uint8 tensors of shape (3, height, width) with values from 0 to 255."
        )
    return image


def _size(image: Tensor) -> tuple[int, int]:
    return image.shape[1], image.shape[2]


def count_images(images: Images) -> int:
    """Number of images of a set."""
    return len(images)  # pyright: ignore[reportArgumentType] - Dataset does not declare __len__


def _count(images: Images, limit: int | None) -> int:
    available = count_images(images)
    if available == 0:
        raise ValueError("The image set is empty: there is nothing to extract features of.")
    if limit is not None and not 1 <= limit <= available:
        raise ValueError(f"Features of {limit} images are requested, but the set has {available}.")
    return available if limit is None else limit


def _hash_pixels(images: Tensor) -> str:
    digest = hashlib.sha256(repr(tuple(images.shape)).encode())
    digest.update(images.cpu().contiguous().numpy().data)
    return digest.hexdigest()
