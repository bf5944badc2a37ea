"""Charts of isosurfaces: radius by direction from their common centre.

The isosurfaces of M are nearly spheres around one centre, so a direction from there hits each of them once.
Directions are mapped to the plane by stereographic projection along `axis`, the mean of the visible ones:

    (u, v) = (x, y) / (1 + z) / extent,    with (x, y, z) the unit direction, z along the axis

without trigonometry; the only singularity is opposite to the axis, where no camera sees it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from gram.geometry.cameras import Rays
from gram.networks.manifold import SCALE
from gram.rendering.isosurfaces import intersect
from gram.rendering.samplers import SurfaceSampler
from gram.shapes import Float

MARGIN = 1.05
"""Factor of maps' extents beyond the visible part."""
SMALLEST_EXTENT, LARGEST_EXTENT = 0.02, 4.0
"""Limits of extents, tan(angle / 2) of a map's edge: 2 and 152 degrees from the axis."""
SEARCH_SAMPLES = 64
FARTHEST = 2.0
"""Maximum radius in the search for surfaces, relative to far - near."""
ITERATIONS = 2
"""Fixed-point iterations of an intersection, each with the sphere of the radius at the previous hit."""


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Geometry of all isosurfaces, independent of latents.

    Attributes:
        centre: common centre of the surfaces.
        frame: rotation with columns u, v and `axis`.
        extents: half the width of each map, as tan(angle / 2).
        radii: distance of the surface from the centre, by pixel of its map, rows along v.
    """

    centre: Float[Tensor, "3"]
    frame: Float[Tensor, "3 3"]
    extents: Float[Tensor, " levels"]
    radii: Float[Tensor, "levels height width"]

    def points(self) -> Float[Tensor, "levels height width 3"]:
        """World positions of the pixels of the maps."""
        directions = _directions(self.extents, self.radii.shape[-1]) @ self.frame.T
        return self.centre + self.radii[..., None] * directions

    def intersect(
        self, rays: Rays
    ) -> tuple[Float[Tensor, "levels n"], Float[Tensor, "levels n 2"], Float[Tensor, "levels n"]]:
        """First intersections of rays (n, 3) of one camera with every surface.

        Returns:
            Distance along the ray, map coordinates in [-1, 1], and squared half length of the chord, negative
            for a miss.
        """
        # rays in the frame of the charts
        origin = (rays.origins[0] - self.centre) @ self.frame
        directions = rays.directions @ self.frame
        nearest, distance2 = -(directions @ origin), origin @ origin

        def sphere(radii: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            chord2 = nearest**2 - distance2 + radii**2
            t = nearest - chord2.clamp_min(0.0).sqrt()
            return t, self._coordinates(origin + t[..., None] * directions), chord2

        # fixed-point iteration from the mean radius
        hits = sphere(self.radii.mean((1, 2))[:, None].expand(-1, len(directions)))
        for _ in range(ITERATIONS):
            hits = sphere(look_up(self.radii[:, None], hits[1][:, None])[:, 0, 0])
        return hits

    def _coordinates(self, x: Float[Tensor, "levels n 3"]) -> Float[Tensor, "levels n 2"]:
        along = (x.norm(dim=-1) + x[..., 2]).clamp_min(1e-6)
        return x[..., :2] / (along[..., None] * self.extents[:, None, None])


@torch.no_grad()
def chart(sampler: SurfaceSampler, rays: Rays, *, resolution: int) -> Charts:
    """Build charts of the visible part of a sampler's surfaces.

    Args:
        sampler: sampler on isosurfaces that are star-shaped around their centre.
        rays: camera rays, which determine the extents.
        resolution: pixels along one side of a map.

    Raises:
        ValueError: a direction from the centre does not hit a surface.
    """
    # visible points relative to the centre
    centre = sampler.manifold.centre / SCALE
    samples = sampler.sample(rays)
    hit = samples.hit[..., : sampler.surfaces].flatten(0, -2)
    visible = (rays.at(samples.t)[..., : sampler.surfaces, :] - centre).flatten(0, -3)
    axis = normalize(visible[hit].mean(0), dim=0)
    frame = _frame(axis)
    # largest projected coordinate of each surface
    local = normalize(visible @ frame, dim=-1)
    reach = local[..., :2].abs().amax(-1) / (1.0 + local[..., 2]).clamp_min(1e-3)
    extents = MARGIN * torch.where(hit, reach, 0.0).amax(0)
    extents = extents.clamp(SMALLEST_EXTENT, LARGEST_EXTENT)
    outward = _directions(extents, resolution) @ frame.T
    return Charts(centre=centre, frame=frame, extents=extents, radii=_radii(sampler, centre, outward))


def look_up(
    maps: Float[Tensor, "levels channels height width"], at: Float[Tensor, "levels rows n 2"]
) -> Float[Tensor, "levels channels rows n"]:
    """Sample maps bilinearly at coordinates in [-1, 1], the centres of the outermost pixels."""
    return grid_sample(maps, at, mode="bilinear", padding_mode="border", align_corners=True)


def _radii(
    sampler: SurfaceSampler, centre: Tensor, outward: Float[Tensor, "levels height width 3"]
) -> Float[Tensor, "levels height width"]:
    """Distance from the centre to the outermost crossing of each surface in each direction."""
    reach = FARTHEST * (sampler.far - sampler.near)
    radii = torch.zeros(outward.shape[:-1], device=outward.device)
    for i, level in enumerate(sampler.values):
        # rays from outside towards the centre
        inward = Rays((centre + reach * outward[i]).flatten(0, 1)[None], -outward[i].flatten(0, 1)[None])
        t, hit = intersect(
            sampler.manifold,
            inward,
            level[None],
            near=0.0,
            far=reach,
            num_samples=SEARCH_SAMPLES,
            mode="refined",
            backend=sampler.backend,
        )
        if not hit.all():
            raise ValueError(
                f"isosurface {i} (level {level:.4g}) is not hit in {1.0 - float(hit.float().mean()):.1%} of "
                "the directions from the centre of the manifold predictor: it cannot be drawn as a map"
            )
        radii[i] = reach - t.view_as(radii[i])
    return radii


def _directions(extents: Float[Tensor, " levels"], size: int) -> Float[Tensor, "levels size size 3"]:
    """Unit directions of the pixels of each map, in its frame."""
    side = torch.linspace(-1.0, 1.0, size, device=extents.device)
    v, u = torch.meshgrid(side, side, indexing="ij")
    # inverse stereographic projection
    projected = torch.stack([u, v], -1) * extents[:, None, None, None]
    square = projected.square().sum(-1, keepdim=True)
    return torch.cat([2.0 * projected, 1.0 - square], -1) / (1.0 + square)


def _frame(axis: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """Rotation with the axis as its last column and a horizontal first one, if possible."""
    up = torch.eye(3, device=axis.device)[1 if axis[1].abs() < 0.9 else 2]
    across = normalize(torch.linalg.cross(up, axis), dim=0)
    return torch.stack([across, torch.linalg.cross(axis, across), axis], dim=-1)
