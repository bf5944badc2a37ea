"""Maps of isosurfaces: which direction from their common centre is which pixel, and how far out they are.

The isosurfaces of M are nearly spheres around one centre, so a direction from there meets each of them once.
Directions are mapped to the plane by stereographic projection along `axis`, the middle of what cameras see:

    (u, v) = (x, y) / (1 + z) / extent,    with (x, y, z) the unit direction, z along the axis

without trigonometry and without a seam but in the direction that no camera sees.
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
"""Maps reach so much beyond what was seen."""
SMALLEST_EXTENT, LARGEST_EXTENT = 0.02, 4.0
"""tan(angle / 2) of a map's edge: 2 and 152 degrees from the axis."""
SEARCH_SAMPLES = 64
FARTHEST = 2.0
"""Surfaces are looked for up to so many depths of the visible space from their centre."""
ITERATIONS = 2
"""A surface is a sphere whose radius is looked up where the sphere before was met; twice is enough, as
surfaces are smooth."""


@dataclass(frozen=True, kw_only=True)
class Charts:
    """Geometry of all isosurfaces; no latent has a part in it.

    Attributes:
        centre: common centre of the surfaces.
        frame: rotation whose columns are the axes u, v and `axis`.
        extents: half the width of each map, as tan(angle / 2).
        radii: distance of the surface from the centre, by pixel of its map, rows along v.
    """

    centre: Float[Tensor, "3"]
    frame: Float[Tensor, "3 3"]
    extents: Float[Tensor, " levels"]
    radii: Float[Tensor, "levels height width"]

    def points(self) -> Float[Tensor, "levels height width 3"]:
        """Where the pixels of the maps are in the world."""
        directions = _directions(self.extents, self.radii.shape[-1]) @ self.frame.T
        return self.centre + self.radii[..., None] * directions

    def meet(
        self, rays: Rays
    ) -> tuple[Float[Tensor, "levels n"], Float[Tensor, "levels n 2"], Float[Tensor, "levels n"]]:
        """Where rays (n, 3) of one camera first meet every surface.

        Returns:
            Distance along the ray, place in the map in [-1, 1], and how far the ray is from missing the
            surface: squared half length of its chord, negative for a miss.
        """
        origin = (rays.origins[0] - self.centre) @ self.frame
        directions = rays.directions @ self.frame
        nearest, distance2 = -(directions @ origin), origin @ origin

        def sphere(radii: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            chord2 = nearest**2 - distance2 + radii**2
            t = nearest - chord2.clamp_min(0.0).sqrt()
            return t, self._place(origin + t[..., None] * directions), chord2

        met = sphere(self.radii.mean((1, 2))[:, None].expand(-1, len(directions)))
        for _ in range(ITERATIONS):
            met = sphere(look_up(self.radii[:, None], met[1][:, None])[:, 0, 0])
        return met

    def _place(self, x: Float[Tensor, "levels n 3"]) -> Float[Tensor, "levels n 2"]:
        along = (x.norm(dim=-1) + x[..., 2]).clamp_min(1e-6)
        return x[..., :2] / (along[..., None] * self.extents[:, None, None])


@torch.no_grad()
def chart(sampler: SurfaceSampler, rays: Rays, *, resolution: int) -> Charts:
    """Maps of the surfaces of a sampler, as large as rays see of them.

    Args:
        sampler: on isosurfaces that a direction from their centre meets once.
        rays: of the cameras that will look.
        resolution: pixels along one side of a map.

    Raises:
        ValueError: a surface that some direction from the centre does not meet, so that there is no map.
    """
    centre = sampler.manifold.centre / SCALE
    samples = sampler.sample(rays)
    hit = samples.hit[..., : sampler.surfaces].flatten(0, -2)
    seen = (rays.at(samples.t)[..., : sampler.surfaces, :] - centre).flatten(0, -3)
    axis = normalize(seen[hit].mean(0), dim=0)
    frame = _frame(axis)
    local = normalize(seen @ frame, dim=-1)
    reach = local[..., :2].abs().amax(-1) / (1.0 + local[..., 2]).clamp_min(1e-3)
    extents = MARGIN * torch.where(hit, reach, 0.0).amax(0)
    extents = extents.clamp(SMALLEST_EXTENT, LARGEST_EXTENT)
    outward = _directions(extents, resolution) @ frame.T
    return Charts(centre=centre, frame=frame, extents=extents, radii=_radii(sampler, centre, outward))


def look_up(
    maps: Float[Tensor, "levels channels height width"], at: Float[Tensor, "levels rows n 2"]
) -> Float[Tensor, "levels channels rows n"]:
    """Bilinear values of maps at places in [-1, 1], -1 and 1 being the middles of the outermost pixels."""
    return grid_sample(maps, at, mode="bilinear", padding_mode="border", align_corners=True)


def _radii(
    sampler: SurfaceSampler, centre: Tensor, outward: Float[Tensor, "levels height width 3"]
) -> Float[Tensor, "levels height width"]:
    """Distance from the centre to each surface, the outermost crossing of each direction."""
    reach = FARTHEST * (sampler.far - sampler.near)
    radii = torch.zeros(outward.shape[:-1], device=outward.device)
    for i, level in enumerate(sampler.values):
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
                f"isosurface {i} (level {level:.4g}) is not met in {1.0 - float(hit.float().mean()):.1%} of "
                "the directions from the centre of the manifold predictor: it cannot be drawn as a map"
            )
        radii[i] = reach - t.view_as(radii[i])
    return radii


def _directions(extents: Float[Tensor, " levels"], size: int) -> Float[Tensor, "levels size size 3"]:
    """Unit directions of the pixels of each map, in its frame."""
    side = torch.linspace(-1.0, 1.0, size, device=extents.device)
    v, u = torch.meshgrid(side, side, indexing="ij")
    place = torch.stack([u, v], -1) * extents[:, None, None, None]
    square = place.square().sum(-1, keepdim=True)
    return torch.cat([2.0 * place, 1.0 - square], -1) / (1.0 + square)


def _frame(axis: Float[Tensor, "3"]) -> Float[Tensor, "3 3"]:
    """A rotation whose last column is the axis and whose first is as horizontal as can be."""
    up = torch.eye(3, device=axis.device)[1 if axis[1].abs() < 0.9 else 2]
    across = normalize(torch.linalg.cross(up, axis), dim=0)
    return torch.stack([across, torch.linalg.cross(axis, across), axis], dim=-1)
