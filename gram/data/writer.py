"""Writer of data sets, which appear only when complete."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gram.data.format import ContentHash, DatasetError, DatasetMeta, camera_label, fit_pose_prior
from gram.data.reader import ImageDataset, depth_name
from gram.system.folders import replacing


class _Unfinished(Exception):
    """Exit of a writer's block without `finish`."""


class DatasetWriter:
    """Context manager that writes images one by one to a temporary folder, which `finish` moves into place.

    Leaving the block without `finish` removes the temporary folder.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, size: int, fov: float, overwrite: bool = False
    ) -> None:
        """Start a data set.

        Args:
            path: folder of the data set.
            size: image side in pixels.
            fov: angle between the centres of opposite border pixels, radians.
            overwrite: replace an existing folder when the new one is complete.
        """
        self.path = Path(path)
        self._size, self._fov, self._overwrite = size, fov, overwrite
        if self.path.exists() and not overwrite:
            raise DatasetError(f"{self.path} exists; remove it, choose another path, or pass overwrite=True")
        self._open = ExitStack()
        self._partial = self._open.enter_context(replacing(self.path))
        self._labels: list[tuple[str, list[float]]] = []
        self._identities: list[int] = []
        self._poses: list[tuple[float, float]] = []
        self._content = ContentHash()

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind or _Unfinished, error or _Unfinished(), trace)

    def __len__(self) -> int:
        """Number of images written so far."""
        return len(self._labels)

    def add(
        self,
        image: NDArray[np.uint8],
        pose: tuple[float, float],
        *,
        identity: int,
        depth: NDArray[np.floating] | None = None,
    ) -> None:
        """Write one image.

        Args:
            image: (size, size, 3) sRGB.
            pose: (pitch, yaw), radians.
            identity: number of the person or car.
            depth: (size, size) distance along the ray, NaN for background.
        """
        if image.shape != (self._size, self._size, 3) or image.dtype != np.uint8:
            raise DatasetError(
                f"image {len(self)} is {image.dtype} {image.shape}; "
                f"expected uint8 ({self._size}, {self._size}, 3)"
            )
        index = len(self._labels)
        name = f"images/{index // 1000:05d}/img{index:08d}.png"
        label = camera_label(pose, self._fov, self._size)
        self._make_parent(name)
        Image.fromarray(image).save(self._partial / name, compress_level=4)
        if depth is not None:
            self._make_parent(depth_name(name))
            np.save(self._partial / depth_name(name), depth.astype(np.float16))
        self._labels.append((name, label))
        self._identities.append(identity)
        self._poses.append(pose)
        self._content.add(image, label)

    def add_file(self, name: str, content: bytes) -> None:
        """Write another file of the data set, for example a mesh."""
        self._make_parent(name)
        (self._partial / name).write_bytes(content)

    def finish(
        self,
        *,
        kind: str,
        near: float,
        far: float,
        background: str,
        split: str,
        licence: str,
        seed: int | None = None,
        prepared: Mapping[str, Any] | None = None,
    ) -> DatasetMeta:
        """Write labels and `meta.json`, and move the data set into place; for arguments see `DatasetMeta`."""
        if not self._labels:
            raise DatasetError(f"no image was added to {self.path}; a data set needs at least one")
        meta = DatasetMeta(
            kind=kind,
            size=self._size,
            fov=float(self._fov),
            near=near,
            far=far,
            background=background,
            pose=fit_pose_prior(np.array(self._poses)),
            split=split,
            licence=licence,
            seed=seed,
            content_hash=self._content.hexdigest(),
            prepared=None if prepared is None else dict(prepared),
        )
        (self._partial / "dataset.json").write_text(
            json.dumps({"labels": self._labels, "identities": self._identities}), encoding="utf-8"
        )
        (self._partial / "meta.json").write_text(meta.to_json(), encoding="utf-8")
        self._require_whole(meta)
        if self.path.exists() and not self._overwrite:
            raise DatasetError(f"{self.path} appeared while it was being written; remove it and run again")
        self._open.close()
        return meta

    def _require_whole(self, meta: DatasetMeta) -> None:
        """Compare the files on disk with the images added."""
        count = sum(path.suffix == ".png" for path in (self._partial / "images").rglob("*"))
        if count != len(self):
            raise DatasetError(
                f"{self.path}: {len(self)} images were written, but {count} are there: run again"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the caller is warned when it reads the data set
            written = ImageDataset(self._partial).compute_content_hash()
        if written != meta.content_hash:
            raise DatasetError(
                f"{self.path}: what was written reads otherwise than given: run again, and check the disk"
            )

    def _make_parent(self, name: str) -> None:
        (self._partial / name).parent.mkdir(parents=True, exist_ok=True)
