"""Colours of a surface as pictures show it, where its radiance field was never trained."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from gram.geometry.cameras import look_at_origin, project
from gram.model.generator import Generator
from gram.shapes import Float

SIZE = 128
"""Pixels along one side of the pictures."""
TOLERANCE = 0.01
"""World units behind what a picture shows within which a point still counts as shown, at least."""
STRAIGHT = 4
"""Exponent of the cosine between a ray and the surface's normal: the straightest view counts most."""
ENOUGH = 0.05
"""Weight of all views below which the field's own colour has a part."""


class SeenColors:
    """A colour field, see `gram.meshing.color_vertices`: a mean over pictures that see a point.

    A radiance field is trained on surfaces; a mesh lies between them, and its points have colours that no
    picture shows. Here a point has the colour of the pixels that show it, of straight views more than of
    oblique ones; only where no picture shows it, it has that of the field.

    Args:
        generator: any.
        z: the latent.
        poses: (pitch, yaw) of the cameras, radians.
        psi: truncation.
    """

    @torch.no_grad()
    def __init__(
        self,
        generator: Generator,
        z: Float[Tensor, " z_dim"],
        poses: Float[Tensor, "views 2"],
        *,
        psi: float = 1.0,
    ) -> None:
        self._generator, self._z, self._psi = generator, z, psi
        poses = poses.to(z.device)
        seen = generator.render(z.expand(len(poses), -1), poses, size=SIZE, psi=psi, background=False)
        front = (seen.image + 1.0) / 2.0  # on black: times opacity
        self._pictures = torch.cat([front, seen.opacity[:, None], seen.median_depth[:, None]], 1)
        self._cam2world = look_at_origin(poses)
        self._tolerance = max(TOLERANCE, generator.sampler.layer_spacing)

    @torch.no_grad()
    def __call__(
        self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "n 3"]:
        """RGB in [0, 1] at world points of a surface, seen along unit directions, which are against its
        normals.
        """
        points, directions = points.to(self._z.device), directions.to(self._z.device)
        color = points.new_zeros(len(points), 3)
        weight = points.new_zeros(len(points), 1)
        for picture, cam2world in zip(self._pictures.split(1), self._cam2world.split(1), strict=True):
            places, distance = project(points[None], cam2world, fov=self._generator.fov)
            found = grid_sample(picture, places[:, None], align_corners=True)[0, :, 0].T  # n, 5
            straight = ((points - cam2world[0, :3, 3]) / distance.T * directions).sum(-1, keepdim=True)
            visible = distance.T <= found[:, 4:] + self._tolerance
            part = straight.clamp(min=0.0) ** STRAIGHT * visible
            color += part * found[:, :3]
            weight += part * found[:, 3:4]
        own = self._generator.color(self._z, points, directions, psi=self._psi)
        known = color / weight.clamp(min=1e-6)
        return own.lerp(known, (weight / ENOUGH).clamp(max=1.0)).clamp(0.0, 1.0)
