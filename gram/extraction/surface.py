"""Visible surface of a latent as a mesh."""

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
"""Side of the images whose outlines bound the surface, pixels."""
PLANE_MARGIN = 0.02
"""Minimum distance of the surface from the background plane, world units."""


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
    """Extract the closed surface at the median depth of a latent's images, without the background plane.

    It is bounded by their outlines, where opacity is three quarters of the maximum, even where the radiance
    field is dense between the surfaces that are rendered. Regions that no camera sees, such as the back of a
    head, are solid up to the box.

    Args:
        generator: any generator; between surfaces the radiance field is used.
        z: latent.
        poses: (pitch, yaw) of the cameras, radians.
        psi: truncation.
        resolution: lattice points along the longest side of the box.
        level: accumulated opacity of the surface; None is half of the maximum.
        largest_only: drop all but the largest connected part.
        fill: radius of the ball of a morphological closing, world units: smaller pits and gaps are filled.

    Raises:
        ValueError: no surface at the level.
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
    """Build a field of rendered opacity: 1 at its maximum, falling linearly to 0 at half of that.

    Opacity is averaged over the images with the least at a point, and extended beyond their edges.
    """
    rendered = generator.render(z.expand(len(poses), -1), poses, size=OUTLINE_SIZE, psi=psi, background=False)
    opacity, cam2world = rendered.opacity[:, None].cpu(), look_at_origin(poses).cpu()
    maximum = float(opacity.max())

    def field(points: Float[Tensor, "num 3"]) -> Float[Tensor, " num"]:
        xy, _ = project(points.expand(len(opacity), -1, -1), cam2world, fov=generator.fov)
        values = grid_sample(opacity, xy[:, None], padding_mode="border", align_corners=True)[:, 0, 0]
        return (2.0 * clearest(values) / maximum - 1.0).clamp(0.0, 1.0)

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
    """Mean absolute difference between the depth of a mesh and that of the generator, world units.

    All pixels are included: behind the mesh is the background plane, or `far` without one.
    """
    rendered = generator.render(z.expand(len(poses), -1), poses.to(z.device), size=size, psi=psi).depth.cpu()
    rays = pixel_rays(look_at_origin(poses.cpu()), size=size, fov=generator.fov)
    sampler = generator.sampler
    behind = torch.full_like(rays.origins[..., 2], sampler.far)
    if sampler.background_z is not None:
        behind = (sampler.background_z - rays.origins[..., 2]) / rays.directions[..., 2]
    depth = torch.minimum(mesh_depth(mesh, rays), behind)
    return float((depth - rendered.flatten(1)).abs().mean())


def visible_box(generator: Generator) -> list[tuple[float, float]]:
    """Bounds (low, high) of x, y, z of the visible space, in front of the background plane, if any."""
    sampler = generator.sampler
    half = min(generator.radiance.box / 2.0, max(1.0 - sampler.near, sampler.far - 1.0))
    plane = sampler.background_z
    behind = -half if plane is None else max(-half, plane + PLANE_MARGIN)
    return [(-half, half), (-half, half), (behind, half)]
