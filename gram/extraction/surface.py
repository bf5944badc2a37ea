"""The surface of a latent: the one that its pictures show, as a mesh."""

import torch
import trimesh
from torch import Tensor
from torch.nn.functional import grid_sample

from gram.geometry.cameras import look_at_origin, pixel_rays, project
from gram.meshing.fields import Field
from gram.meshing.opacity import accumulated_opacity, clearest
from gram.meshing.raycasting import mesh_depth
from gram.meshing.surface import extract_surface
from gram.model.generator import Generator
from gram.shapes import Float

OUTLINE_SIZE = 128
"""Pixels along one side of the pictures whose outlines the surface keeps to."""
PLANE_MARGIN = 0.02
"""Distance to the background plane, in front of which nothing of a head is that near."""


@torch.no_grad()
def visible_surface(
    generator: Generator,
    z: Float[Tensor, " z_dim"],
    poses: Float[Tensor, "views 2"],
    *,
    psi: float = 1.0,
    resolution: int = 128,
    level: float | None = None,
    largest_only: bool = True,
    fill: float = 0.0,
) -> trimesh.Trimesh:
    """The closed surface at the median depth of a latent's pictures, without the background plane.

    It stays within their outlines: where pictures let through more than a quarter of the light there is none,
    however dense the field is between the surfaces that pictures are made of.

    What no camera sees, the back of a head, is solid as far as the box reaches.

    Args:
        generator: any; what a sampler on surfaces leaves out between them is taken from the radiance field.
        z: the latent.
        poses: (pitch, yaw) of the cameras, radians.
        psi: truncation.
        resolution: lattice points along the longest side of the box.
        level: accumulated opacity of the surface; None is half of the most there is.
        largest_only: drop all but the largest connected part.
        fill: radius of a ball, world units: pits and gaps that it has no room in are filled.

    Raises:
        ValueError: there is no surface at the level.
    """
    device = next(generator.parameters()).device

    def occupancy(points: Tensor) -> Tensor:
        return generator.occupancy(z, points.to(device), psi=psi)

    box = visible_box(generator)
    opacity = accumulated_opacity(
        occupancy, poses.cpu(), bounds=box, spacing=generator.sampler.layer_spacing, resolution=resolution
    )
    outline = _outline(generator, z, poses.to(device), psi=psi)
    return extract_surface(
        lambda points: torch.minimum(opacity(points), outline(points)),
        bounds=box, resolution=resolution, level=level, largest_only=largest_only, fill=fill,
    )  # fmt: skip


def _outline(
    generator: Generator, z: Float[Tensor, " z_dim"], poses: Float[Tensor, "views 2"], *, psi: float
) -> Field:
    """1 where pictures are as opaque as anywhere, 1/2 where they are at three quarters of that, 0 at a half.

    Of the pictures those count that see most at a point; beyond their edges it is that of the edge.
    """
    seen = generator.render(z.expand(len(poses), -1), poses, size=OUTLINE_SIZE, psi=psi, background=False)
    opacity, cam2world = seen.opacity[:, None].cpu(), look_at_origin(poses).cpu()
    most = float(opacity.max())

    def field(points: Float[Tensor, "num 3"]) -> Float[Tensor, " num"]:
        places, _ = project(points.expand(len(opacity), -1, -1), cam2world, fov=generator.fov)
        found = grid_sample(opacity, places[:, None], padding_mode="border", align_corners=True)[:, 0, 0]
        return (2.0 * clearest(found) / most - 1.0).clamp(0.0, 1.0)

    return field


@torch.no_grad()
def depth_error(
    generator: Generator,
    z: Float[Tensor, " z_dim"],
    mesh: trimesh.Trimesh,
    poses: Float[Tensor, "views 2"],
    *,
    size: int,
    psi: float = 1.0,
) -> float:
    """Mean distance, along rays, between a mesh and the generator's own depth, world units.

    All pixels count: behind a mesh lies the background plane, or `far` where there is none, as in pictures.
    """
    rendered = generator.render(z.expand(len(poses), -1), poses.to(z.device), size=size, psi=psi).depth.cpu()
    rays = pixel_rays(look_at_origin(poses.cpu()), size=size, fov=generator.fov)
    sampler = generator.sampler
    behind = torch.full_like(rays.origins[..., 2], sampler.far)
    if sampler.background_z is not None:
        behind = (sampler.background_z - rays.origins[..., 2]) / rays.directions[..., 2]
    found = torch.minimum(mesh_depth(mesh, rays), behind)
    return float((found - rendered.flatten(1)).abs().mean())


def visible_box(generator: Generator) -> list[tuple[float, float]]:
    """(low, high) of x, y, z of what cameras see, in front of the background plane if there is one."""
    sampler = generator.sampler
    half = min(generator.radiance.box / 2.0, max(1.0 - sampler.near, sampler.far - 1.0))
    plane = sampler.background_z
    behind = -half if plane is None else max(-half, plane + PLANE_MARGIN)
    return [(-half, half), (-half, half), (behind, half)]
