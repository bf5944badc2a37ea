"""Baking of the manifolds of a latent into textured surfaces, which render without any network.

Intersections are a smooth function of the pixel: they are computed on a coarse grid of rays and interpolated;
colours and occupancies are then looked up for every pixel.
"""

from dataclasses import dataclass, replace

import torch
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from gram.extraction.charts import MARGIN, Charts, chart, look_up
from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.meshing.layers import ImageLayer
from gram.model.generator import Generator
from gram.rendering.samplers import SurfaceSampler
from gram.shapes import Float, UInt8

COARSE = 5
FEWEST = 64
"""Pixels between traced rays, and minimum number of traced rays along one side of an image."""
VIEW_SIZE = 33
"""Side of the views that determine the extent of maps, pixels."""
VERTICES = 33
"""Vertices along one side of an exported surface."""
RANGE_MARGIN = 2e-3
"""Margin of the range of distances, about the width of a map's pixel, world units."""
CHUNK = 2**16
"""Points evaluated by the radiance field at once."""


@dataclass(frozen=True, kw_only=True)
class BakedManifolds:
    """Charts with colours and occupancies of the radiance field.

    Attributes:
        charts: geometry, common to all latents of a generator.
        surfaces: colour in [0, 1] and occupancy of every isosurface, by pixel of its map.
        plane: colours of the background plane; None on white.
        plane_extent: half the width and height of the plane's image, world units.
        plane_z: z of the plane.
        near, far: range of visible distances along the ray.
        fov: field of view of the cameras, radians.
    """

    charts: Charts
    surfaces: Float[Tensor, "levels 4 height width"]
    plane: Float[Tensor, "3 height width"] | None
    plane_extent: Float[Tensor, "2"]
    plane_z: float
    near: float
    far: float
    fov: float

    @torch.no_grad()
    def render(self, poses: Float[Tensor, "batch 2"], *, size: int) -> Float[Tensor, "batch 3 size size"]:
        """Render images in [-1, 1] like the generator, from (pitch, yaw)."""
        return torch.stack([self._render(pose[None], size) for pose in poses])

    def layers(self, *, vertices: int = VERTICES) -> list[ImageLayer]:
        """Convert to textured layers, back to front: the plane, then the surfaces from inside out.

        Args:
            vertices: vertices along one side of each surface.
        """
        layers = []
        if self.plane is not None:
            x, y = (float(half) for half in self.plane_extent)
            corners = [[[s * x, t * y, self.plane_z] for s in (-1, 1)] for t in (-1, 1)]
            opaque = torch.cat([self.plane, torch.ones_like(self.plane[:1])])
            points = torch.tensor(corners).numpy()
            layers.append(ImageLayer(name="plane", points=points, texture=_bytes(opaque), opaque=True))
        points = replace(self.charts, radii=_resized(self.charts.radii, vertices)).points().cpu().numpy()
        for i in reversed(range(len(points))):
            layers.append(
                ImageLayer(name=f"surface_{i:02}", points=points[i], texture=_bytes(self.surfaces[i]))
            )
        return layers

    def _render(self, pose: Tensor, size: int) -> Float[Tensor, "3 size size"]:
        # intersections on a coarse grid of rays: map coordinates, and visibility (negative if invisible)
        side = min(size, max(FEWEST, (size - 2) // COARSE + 2))
        rays = pixel_rays(look_at_origin(pose), size=side, fov=self.fov).rows(0)
        t, at, chord2 = self.charts.intersect(rays)
        visible = torch.minimum(chord2, torch.minimum(t - self.near, self.far - t))
        hits = torch.cat([at, visible[..., None]], -1).mT.reshape(len(t), 3, side, side)
        # colours and occupancies of every pixel: (levels, 4, size, size)
        hits = _enlarged(hits, size)
        layers = look_up(self.surfaces, hits[:, :2].permute(0, 2, 3, 1))
        alphas = layers[:, 3] * (hits[:, 2] > 0)
        # compositing, back to front
        color = self._background(rays, side, size)
        for i in reversed(range(len(layers))):
            color.lerp_(layers[i, :3], alphas[i])
        return color.mul_(2.0).sub_(1.0)

    def _background(self, rays: Rays, side: int, size: int) -> Float[Tensor, "3 size size"]:
        if self.plane is None:
            return self.surfaces.new_ones(3, size, size)
        t = (self.plane_z - rays.origins[:, 2:]) / rays.directions[:, 2:]
        at = (rays.origins + t * rays.directions)[:, :2] / self.plane_extent
        at = _enlarged(at.T.reshape(1, 2, side, side), size)
        return look_up(self.plane[None], at.permute(0, 2, 3, 1))[0]


def _resized(maps: Float[Tensor, "n height width"], size: int) -> Float[Tensor, "n size size"]:
    return interpolate(maps[None], size=(size, size), mode="bicubic", align_corners=True)[0]


def _bytes(rgba: Float[Tensor, "4 height width"]) -> UInt8[ndarray, "height width 4"]:
    return (rgba * 255.0).round().clamp(0.0, 255.0).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _enlarged(maps: Float[Tensor, "n channels low low"], size: int) -> Float[Tensor, "n channels size size"]:
    """Resize bilinearly with aligned corners, by two matrix products: twice as fast as `interpolate`."""
    low = maps.shape[-1]
    line = torch.eye(low, dtype=maps.dtype, device=maps.device)[None]
    weights = interpolate(line, size=size, mode="linear", align_corners=True)[0]  # (low, size)
    return weights.T @ maps @ weights


@torch.no_grad()
def bake(
    generator: Generator,
    z: Float[Tensor, " z_dim"],
    poses: Float[Tensor, "count 2"],
    *,
    resolution: int = 128,
    psi: float = 1.0,
    charts: Charts | None = None,
) -> BakedManifolds:
    """Bake the manifolds of a latent.

    View-dependent colours are those seen from the mean pose.

    Args:
        generator: generator with a sampler on isosurfaces.
        z: latent.
        poses: (pitch, yaw) of the cameras, radians; their view determines the extent of maps.
        resolution: pixels along one side of a map.
        psi: truncation.
        charts: charts of the same generator, for reuse.

    Raises:
        ValueError: the sampler has no isosurfaces, or they cannot be drawn as maps.
    """
    sampler = generator.sampler
    if not isinstance(sampler, SurfaceSampler):
        raise ValueError(f"a {type(sampler).__name__} has no isosurfaces that could be baked")
    # geometry
    rays = pixel_rays(look_at_origin(poses), size=VIEW_SIZE, fov=generator.fov)
    charts = charts or chart(sampler, rays, resolution=resolution)
    eye = look_at_origin(poses.mean(0, keepdim=True))[0, :3, 3]
    # colours and occupancies: (levels, 4, height, width)
    points = charts.points()
    rgb, alpha = _radiance(generator, z, points, eye, psi)
    alpha = alpha * _in_range(points, look_at_origin(poses)[:, :3, 3], sampler)
    surfaces = torch.cat([rgb, alpha[..., None]], -1).permute(0, 3, 1, 2).contiguous()
    # background plane
    plane, extent = None, torch.ones(2, device=z.device)
    if sampler.background_z is not None:
        extent = MARGIN * rays.at(sampler.sample(rays).t)[..., -1, :2].abs().amax((0, 1))
        side = torch.linspace(-1.0, 1.0, resolution, device=z.device)
        v, u = torch.meshgrid(side, side, indexing="ij")
        points = torch.stack([u * extent[0], v * extent[1], torch.full_like(u, sampler.background_z)], -1)
        plane = _radiance(generator, z, points, eye, psi)[0].permute(2, 0, 1).contiguous()
    return BakedManifolds(
        charts=charts, surfaces=surfaces, plane=plane, plane_extent=extent,
        plane_z=sampler.background_z or 0.0, near=sampler.near, far=sampler.far, fov=generator.fov,
    )  # fmt: skip


def _in_range(
    points: Float[Tensor, "levels height width 3"], eyes: Float[Tensor, "count 3"], sampler: SurfaceSampler
) -> Float[Tensor, "levels height width"]:
    """Mask of points between near and far of a camera, 0 or 1; others are never rendered."""
    masks = []
    for surface in points:
        t = torch.cdist(surface.flatten(0, 1), eyes)
        inside = (t >= sampler.near - RANGE_MARGIN) & (t <= sampler.far + RANGE_MARGIN)
        masks.append(inside.any(1).view(surface.shape[:-1]))
    return torch.stack(masks).float()


def _radiance(
    generator: Generator, z: Tensor, points: Float[Tensor, "*shape 3"], eye: Float[Tensor, "3"], psi: float
) -> tuple[Float[Tensor, "*shape 3"], Float[Tensor, "*shape"]]:
    """Evaluate colours in [0, 1] and occupancies of a surface at points, seen from `eye`."""
    flat = points.reshape(-1, 3)
    directions = normalize(flat - eye, dim=-1)
    film = generator.truncated_film(z[None], psi)
    parts = [
        generator.radiance(some_points[None], some_directions[None], film)
        for some_points, some_directions in zip(flat.split(CHUNK), directions.split(CHUNK), strict=True)
    ]
    rgb, density = (torch.cat([part[k][0] for part in parts]) for k in range(2))
    alpha = -torch.expm1(-generator.sampler.typical_delta * density)
    return rgb.clamp(0.0, 1.0).view(points.shape), alpha.view(points.shape[:-1])
