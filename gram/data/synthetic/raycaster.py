"""Ray casting of meshes with Embree: images and exact depth of procedural data sets.

Embree only finds *which* triangle a ray hits. Intersections are recomputed in float64 and shading is
elementwise NumPy, so a seed gives the same image on every machine. Conventions are those of
`gram.geometry.cameras`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gram.data.cameras import Array, camera_frame, cross, dot, normalised, pixel_directions

RAYS_AT_ONCE = 65536
"""Rays shaded together, whose attributes fit the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """Triangle mesh in world coordinates, counter-clockwise seen from outside."""

    vertices: Array
    """(V, 3)"""
    triangles: NDArray[np.int64]
    """(T, 3)"""

    def face_normals(self) -> Array:
        """Outward normals (T, 3) with a length of twice the triangle's area."""
        a, b, c = (self.vertices[corner] for corner in self.triangles.T)
        return cross(b - a, c - a)

    def vertex_normals(self) -> Array:
        """Area-weighted unit normals (V, 3)."""
        faces = self.face_normals()
        corners = self.triangles.T.ravel()
        sums = [np.bincount(corners, np.tile(faces[:, k], 3), len(self.vertices)) for k in range(3)]
        return normalised(np.stack(sums, 1).astype(np.float64))

    def to_ply(self) -> bytes:
        """Serialise as binary PLY."""
        corners = np.zeros(len(self.triangles), dtype=[("count", "u1"), ("index", "<i4", 3)])
        corners["count"], corners["index"] = 3, self.triangles
        lines = [
            "ply",
            "format binary_little_endian 1.0",
            f"element vertex {len(self.vertices)}",
            *[f"property float {axis}" for axis in "xyz"],
            f"element face {len(self.triangles)}",
            "property list uchar int vertex_indices",
            "end_header\n",
        ]
        return "\n".join(lines).encode() + self.vertices.astype("<f4").tobytes() + corners.tobytes()


@dataclass(frozen=True, kw_only=True)
class RayHits:
    """Intersections of rays with a mesh, for the H rays that hit."""

    ray: NDArray[np.int64]
    """(H,) indices of the rays."""
    triangle: NDArray[np.int64]
    """(H,)"""
    barycentric: Array
    """(H, 3) weights of the triangle's corners."""
    t: Array
    """(H,) distance along the unit ray."""
    points: Array
    """(H, 3)"""
    directions: Array
    """(H, 3) unit directions of the rays."""

    def interpolate(self, mesh: Mesh, values: Array) -> Array:
        """Interpolate vertex values (V, ...) at the hits."""
        corners = mesh.triangles[self.triangle].T
        weights = self.barycentric.T if values.ndim == 1 else self.barycentric.T[..., None]
        a, b, c = (values[corner] * weight for corner, weight in zip(corners, weights, strict=True))
        return a + b + c


Shadow = Callable[[Array, Array], NDArray[np.bool_]]
"""Visibility test: points (H, 3) and unit directions (H, 3) to (H,), true if nothing occludes the light."""


@runtime_checkable
class ShadedMesh(Protocol):
    """Renderable subject: a mesh with a material, and a background."""

    @property
    def mesh(self) -> Mesh: ...

    @property
    def shadow_light(self) -> Array | None:
        """Position (3,) of the light that casts shadows; None without shadows."""
        ...

    def shade(self, hits: RayHits, shadow: Shadow) -> Array:
        """Linear colours (H, 3) of the hits."""
        ...

    def background(self, origin: Array, directions: Array) -> Array:
        """Linear colours (R, 3) of rays that hit nothing."""
        ...


class RayCaster:
    """Acceleration structure of a mesh."""

    def __init__(self, mesh: Mesh, *, facing: list[Array] | None = None) -> None:
        """Prepare a mesh for ray casting.

        Args:
            mesh: closed mesh.
            facing: viewpoints; triangles that face away from all of them are omitted, which saves time and
                does not change what is visible from there.
        """
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.mesh = mesh
        self._kept = np.arange(len(mesh.triangles)) if facing is None else _facing_triangles(mesh, facing)
        triangles = mesh.triangles[self._kept]
        used = np.zeros(len(mesh.vertices), bool)
        used[triangles.ravel()] = True
        number = np.cumsum(used) - 1
        self._scene = EmbreeScene()
        self._geometry = TriangleMesh(
            self._scene, mesh.vertices[used].astype(np.float32), number[triangles].astype(np.int32)
        )

    def intersect(self, origins: Array, directions: Array) -> RayHits:
        """First hits of rays (R, 3); origins may also be one point (3,)."""
        origins = np.broadcast_to(origins, directions.shape)
        first = self._scene.run(origins.astype(np.float32), directions.astype(np.float32), query="INTERSECT")
        ray = np.flatnonzero(first >= 0)
        triangle = self._kept[first[ray]]
        barycentric, t = _intersect_planes(self.mesh, triangle, origins[ray], directions[ray])
        points = origins[ray] + t[:, None] * directions[ray]
        return RayHits(
            ray=ray,
            triangle=triangle,
            barycentric=barycentric,
            t=t,
            points=points,
            directions=directions[ray],
        )

    def is_unoccluded(self, points: Array, directions: Array) -> NDArray[np.bool_]:
        """True for rays from points (R, 3) along directions (R, 3) that do not hit the mesh."""
        blocked = self._scene.run(points.astype(np.float32), directions.astype(np.float32), query="OCCLUDED")
        return blocked < 0


def render(
    subject: ShadedMesh, *, pose: tuple[float, float], size: int, fov: float, supersampling: int = 3
) -> NDArray[np.uint8]:
    """Render an sRGB image (size, size, 3).

    Args:
        subject: mesh and material in world coordinates.
        pose: (pitch, yaw), radians.
        size: pixels along one side.
        fov: field of view, radians.
        supersampling: rays along one side of a pixel.
    """
    centre, rotation = camera_frame(*pose)
    directions = pixel_directions(rotation, size, fov, supersampling)
    caster = RayCaster(
        subject.mesh, facing=[centre] if subject.shadow_light is None else [centre, subject.shadow_light]
    )
    colours = subject.background(centre, directions)
    for start in range(0, len(directions), RAYS_AT_ONCE):
        part = slice(start, start + RAYS_AT_ONCE)
        hits = caster.intersect(centre, directions[part])
        colours[part][hits.ray] = subject.shade(hits, caster.is_unoccluded)
    pixels = colours.reshape(size, size, supersampling * supersampling, 3)
    return encode_srgb(np.clip(pixels, 0.0, 1.0).mean(2))


def render_depth(mesh: Mesh, *, pose: tuple[float, float], size: int, fov: float) -> NDArray[np.float16]:
    """Render the distance along the ray of every pixel's centre, (size, size) float16, NaN for misses."""
    centre, rotation = camera_frame(*pose)
    hits = RayCaster(mesh).intersect(centre, pixel_directions(rotation, size, fov))
    depth = np.full(size * size, np.nan)
    depth[hits.ray] = hits.t
    return depth.reshape(size, size).astype(np.float16)


def encode_srgb(linear: Array) -> NDArray[np.uint8]:
    """Encode linear light in [0, 1] as 8-bit sRGB."""
    curve = 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055
    return np.rint(255.0 * np.where(linear <= 0.0031308, 12.92 * linear, curve)).astype(np.uint8)


def decode_srgb(colour: Array) -> Array:
    """Decode sRGB values in [0, 1] to linear light."""
    colour = np.asarray(colour, dtype=np.float64)
    return np.where(colour <= 0.04045, colour / 12.92, ((np.maximum(colour, 0.0) + 0.055) / 1.055) ** 2.4)


def _facing_triangles(mesh: Mesh, points: list[Array]) -> NDArray[np.int64]:
    """Indices of the triangles that face at least one of the points."""
    normals, corners = mesh.face_normals(), mesh.vertices[mesh.triangles[:, 0]]
    facing = [dot(point - corners, normals) > 0 for point in points]
    return np.flatnonzero(np.logical_or.reduce(facing))


def _intersect_planes(
    mesh: Mesh, triangle: NDArray[np.int64], origins: Array, directions: Array
) -> tuple[Array, Array]:
    """Intersect rays with the planes of their triangles (Moeller and Trumbore): barycentric weights (H, 3)
    and distances (H,).
    """
    a, b, c = (mesh.vertices[corner] for corner in mesh.triangles[triangle].T)
    ab, ac, ao = b - a, c - a, origins - a
    across = cross(directions, ac)
    determinant = dot(ab, across)
    around = cross(ao, ab)
    u = dot(ao, across) / determinant
    v = dot(directions, around) / determinant
    return np.stack([1 - u - v, u, v], 1), dot(ac, around) / determinant
