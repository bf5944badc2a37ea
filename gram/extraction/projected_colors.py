"""Colours of a mesh projected from rendered images."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from gram.geometry.cameras import look_at_origin, project
from gram.model.generator import Generator
from gram.shapes import Float

SIZE = 128
"""Side of the rendered images, pixels."""
TOLERANCE = 0.01
"""Minimum tolerance of the visibility test behind the rendered depth, world units."""
STRAIGHT = 4
"""Exponent of the cosine between ray and normal in the weight of a view."""
ENOUGH = 0.05
"""Total weight of views below which the colour of the radiance field is blended in."""


class ProjectedColors:
    """Colour field, see `gram.meshing.color_vertices`: weighted mean of the images that show a point.

    A radiance field is trained on its surfaces only; at points of a mesh, which lie between them, its colours
    are unsupervised. Instead a point gets the colours of the pixels that show it, frontal views weighted
    more than oblique ones, and that of the field if it is visible in no image.

    Args:
        generator: any generator.
        z: latent.
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
        rendered = generator.render(z.expand(len(poses), -1), poses, size=SIZE, psi=psi, background=False)
        rgb = (rendered.image + 1.0) / 2.0  # on black, hence premultiplied by opacity
        # colour, opacity and depth: (views, 5, SIZE, SIZE)
        self._images = torch.cat([rgb, rendered.opacity[:, None], rendered.median_depth[:, None]], 1)
        self._cam2world = look_at_origin(poses)
        self._tolerance = max(TOLERANCE, generator.sampler.layer_spacing)

    @torch.no_grad()
    def __call__(
        self, points: Float[Tensor, "n 3"], directions: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "n 3"]:
        """Colours in [0, 1] at points of a surface, viewed along unit directions against its normals."""
        points, directions = points.to(self._z.device), directions.to(self._z.device)
        color = points.new_zeros(len(points), 3)
        weight = points.new_zeros(len(points), 1)
        for image, cam2world in zip(self._images.split(1), self._cam2world.split(1), strict=True):
            # pixel values at the points: (n, 5)
            xy, distance = project(points[None], cam2world, fov=self._generator.fov)
            values = grid_sample(image, xy[:, None], align_corners=True)[0, :, 0].T
            # weight by cosine and visibility
            cosine = ((points - cam2world[0, :3, 3]) / distance.T * directions).sum(-1, keepdim=True)
            visible = distance.T <= values[:, 4:] + self._tolerance
            part = cosine.clamp(min=0.0) ** STRAIGHT * visible
            color += part * values[:, :3]
            weight += part * values[:, 3:4]
        # blend with the radiance field where weights are small
        field_color = self._generator.color(self._z, points, directions, psi=self._psi)
        projected = color / weight.clamp(min=1e-6)
        return field_color.lerp(projected, (weight / ENOUGH).clamp(max=1.0)).clamp(0.0, 1.0)
