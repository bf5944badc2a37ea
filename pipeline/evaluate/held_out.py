"""Held-out heads or cars with several views each."""

import io
from dataclasses import dataclass

import torch
import trimesh
from torch import Tensor

from gram.data.reader import ImageDataset
from gram.shapes import Float


@dataclass(frozen=True, kw_only=True)
class HeldOutIdentity:
    """Views of one head or car, the most frontal view first; depth and mesh are None if unknown."""

    identity: int  # index in the data set
    images: Float[Tensor, "views 3 size size"]  # in [-1, 1]
    poses: Float[Tensor, "views 2"]  # (pitch, yaw), radians
    depth: Float[Tensor, "views size size"] | None  # distance along rays, NaN for background
    mesh: trimesh.Trimesh | None  # in world coordinates


def first_identities(dataset: ImageDataset, count: int, *, views: int) -> list[HeldOutIdentity]:
    """Read the first identities of a data set with at least `views` views, `count` at most."""
    members: dict[int, list[int]] = {}
    for index, identity in enumerate(dataset.identities or []):
        members.setdefault(identity, []).append(index)
    chosen = [identity for identity, of_one in members.items() if len(of_one) >= views][:count]
    return [_read(dataset, identity, members[identity]) for identity in chosen]


def _read(dataset: ImageDataset, identity: int, members: list[int]) -> HeldOutIdentity:
    frontal = dataset.cam2world[members, 2, 3].argsort(descending=True, stable=True)  # nearest to +z
    order = [members[i] for i in frontal.tolist()]
    depth = [one for one in map(dataset.depth, order) if one is not None]
    return HeldOutIdentity(
        identity=identity,
        images=dataset.load_images(order).float() / 127.5 - 1.0,
        poses=dataset.poses[order],
        depth=torch.stack(depth) if len(depth) == len(order) else None,
        mesh=_mesh(dataset.mesh(identity)),
    )


def _mesh(content: bytes | None) -> trimesh.Trimesh | None:
    if content is None:
        return None
    mesh = trimesh.load_mesh(io.BytesIO(content), file_type="ply")
    return mesh if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces) else None
