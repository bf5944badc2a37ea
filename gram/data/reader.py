"""Reader of posed images in the EG3D layout, from a folder or a zip."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gram.data.decoding import Pixels, Reference, decode
from gram.data.depth import read_depth
from gram.data.format import (
    OPENCV_FROM_OPENGL,
    Array,
    ContentHash,
    DatasetError,
    DatasetMeta,
    fit_pose_prior,
    fov_from_focal,
)
from gram.data.labels import Labels, read_labels
from gram.data.storage import Storage, open_storage
from gram.geometry.cameras import poses_from_cam2world
from gram.shapes import Float, Float32, UInt8

DEFAULT_NEAR, DEFAULT_FAR = 0.88, 1.12


class SizeError(DatasetError):
    """Images whose side, `stored` pixels, is no multiple of the requested size."""

    def __init__(self, path: Path, stored: int, size: int) -> None:
        self.stored = stored
        super().__init__(
            f"the images of {path} have {stored} pixels a side, no multiple of size {size}; "
            f"give a divisor of {stored}"
        )


class ImageDataset(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Data set of images with camera poses: items are (image uint8 (3, H, W), (pitch, yaw) float32, radians).

    Reads any EG3D folder or zip. Without `meta.json` the field of view comes from the intrinsics, the pose
    prior is fitted, and cameras are scaled to distance 1 from the origin.
    """

    def __init__(self, path: str | os.PathLike[str], *, size: int | None = None) -> None:
        """Open a data set.

        Args:
            path: folder or zip with `dataset.json`.
            size: image side in pixels, a divisor of that of the files; None keeps theirs.

        Raises:
            DatasetError: the data set is missing, incomplete or invalid; the message says what to do.
        """
        self.path = Path(path)
        self._storage: Storage = open_storage(self.path)
        self._labels: Labels = read_labels(self._storage, self.path)
        (first,) = decode(self._labels.names[:1], self._storage.read, self.path)
        file_size = len(first)
        self._file_size = file_size
        self.size = file_size if size is None else size
        if self.size < 2 or file_size % self.size:
            raise SizeError(self.path, file_size, self.size)
        self._stored_meta = self._read_meta()
        if len(self) > 1 and bool((self.poses == self.poses[0]).all()):
            warnings.warn(
                f"all {len(self)} images of {self.path} have the same camera pose; "
                "nothing can be learned in 3D from that",
                UserWarning,
                stacklevel=2,
            )

    def __len__(self) -> int:
        return len(self._labels.names)

    def __getitem__(self, index: int) -> tuple[UInt8[Tensor, "3 height width"], Float32[Tensor, " 2"]]:
        (image,) = self._images([index])
        return torch.from_numpy(image.copy()).permute(2, 0, 1).contiguous(), self.poses[index]

    @cached_property
    def cam2world(self) -> Float[Tensor, "count 4 4"]:
        """Camera-to-world matrices, OpenGL axes, cameras at distance 1 from the origin."""
        matrices = self._labels.cam2world.copy()
        matrices[:, :3, :3] *= OPENCV_FROM_OPENGL
        radius = np.median(np.linalg.norm(matrices[:, :3, 3], axis=1))
        matrices[:, :3, 3] /= radius
        return torch.from_numpy(matrices.astype(np.float32))

    @cached_property
    def poses(self) -> Float32[Tensor, "count 2"]:
        """Camera poses (pitch, yaw), radians."""
        return poses_from_cam2world(self.cam2world)

    @property
    def identities(self) -> list[int] | None:
        """Number of the person or car in every image, if known."""
        return self._labels.identities

    @property
    def names(self) -> list[str]:
        """File name of every image."""
        return self._labels.names

    @property
    def labels(self) -> Array:
        """Numbers of `dataset.json` (count, 25)."""
        return self._labels.numbers

    @property
    def stored_meta(self) -> DatasetMeta | None:
        """Content of `meta.json`, if there is one."""
        return self._stored_meta

    @property
    def fov(self) -> float:
        """Angle between the centres of opposite border pixels, radians."""
        if self._stored_meta is not None and self.size == self._file_size:
            return self._stored_meta.fov
        return fov_from_focal(self._labels.focal, self.size)

    @cached_property
    def meta(self) -> DatasetMeta:
        """Metadata of the images at the requested size."""
        if self._stored_meta is not None and self.size == self._file_size:
            return self._stored_meta
        if self._stored_meta is not None:
            return replace(self._stored_meta, size=self.size, fov=self.fov, content_hash=self.content_hash)
        return DatasetMeta(
            kind="custom",
            size=self.size,
            fov=self.fov,
            near=DEFAULT_NEAR,
            far=DEFAULT_FAR,
            background="plane",
            pose=fit_pose_prior(self.poses.numpy()),
            split="train",
            licence="unknown",
            seed=None,
            content_hash=self.content_hash,
        )

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 of pixels, labels and size. Decodes all images without `meta.json`."""
        stored = self.compute_content_hash() if self._stored_meta is None else self._stored_meta.content_hash
        return (
            stored
            if self.size == self._file_size
            else sha256(f"{stored} at {self.size}".encode()).hexdigest()
        )

    def compute_content_hash(self) -> str:
        """Decode all files and compute the SHA-256 of their pixels and labels."""
        content = ContentHash()
        for pixels, label in zip(self._decode(self._labels.names), self._labels.numbers, strict=True):
            content.add(pixels, label)
        return content.hexdigest()

    def load_images(self, indices: Sequence[int] | None = None) -> UInt8[Tensor, "count 3 height width"]:
        """Load all images, or those of the indices, decoded by several threads.

        Raises:
            DatasetError: an image is unusable, or all images differ from those `meta.json` was written for.
        """
        chosen = range(len(self)) if indices is None else indices
        content = ContentHash() if indices is None else None
        images = torch.zeros(len(chosen), 3, self.size, self.size, dtype=torch.uint8)
        array = images.numpy()
        for i, image in enumerate(self._images(chosen, content)):
            array[i] = image.transpose(2, 0, 1)
        if content is not None:
            self._require_known(content.hexdigest())
        return images

    def require_intact(self) -> None:
        """Decode all images; DatasetError if they differ from those `meta.json` was written for."""
        if self._stored_meta is not None:
            self._require_known(self.compute_content_hash())

    def depth(self, index: int) -> Float32[Tensor, "height width"] | None:
        """Distance along the ray of every pixel, NaN for background; None if not available at this size."""
        name = depth_name(self._labels.names[index])
        if self.size != self._file_size or not self._storage.has(name):
            return None
        return torch.from_numpy(read_depth(self._storage.read(name), self.size, f"{name} in {self.path}"))

    def mesh(self, identity: int) -> bytes | None:
        """Ground-truth mesh of a person or car in world coordinates, as PLY; None if not available."""
        name = mesh_name(identity)
        return self._storage.read(name) if self._storage.has(name) else None

    def _images(self, indices: Sequence[int], content: ContentHash | None = None) -> Iterator[Pixels]:
        """Decode images (H, W, 3) at the requested size; `content` hashes them at the size of the files."""
        block = self._file_size // self.size
        for index, image in zip(indices, self._decode([self.names[i] for i in indices]), strict=True):
            if content is not None:
                content.add(image, self.labels[index])
            if block == 1:
                yield image
            else:
                blocks = image.reshape(self.size, block, self.size, block, 3)
                yield np.rint(blocks.mean((1, 3))).astype(np.uint8)

    def _decode(self, names: Sequence[str]) -> Iterator[Pixels]:
        """Decode image files (H, W, 3) at their size."""
        return decode(names, self._storage.read, self.path, Reference(self.names[0], self._file_size))

    def _require_known(self, content_hash: str) -> None:
        if self._stored_meta is not None and self._stored_meta.content_hash != content_hash:
            raise DatasetError(
                f"the images or cameras of {self.path} are not those that meta.json was written for; "
                "write the data set again"
            )

    def _read_meta(self) -> DatasetMeta | None:
        if not self._storage.has("meta.json"):
            return None
        meta = DatasetMeta.from_json(self._storage.read("meta.json"), source=f"meta.json in {self.path}")
        if meta.size != self._file_size:
            raise DatasetError(
                f"meta.json in {self.path} has size {meta.size}, but the images have {self._file_size} "
                "pixels a side; correct it, or delete the file to use defaults"
            )
        return meta


def depth_name(image_name: str) -> str:
    """Depth file of an image: images/00000/img00000000.png -> depth/00000/img00000000.npy."""
    return "depth/" + image_name.removeprefix("images/").rsplit(".", 1)[0] + ".npy"


def mesh_name(identity: int) -> str:
    """File with the ground-truth mesh of an identity."""
    return f"meshes/identity_{identity:03d}.ply"
