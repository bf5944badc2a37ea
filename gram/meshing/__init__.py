"""From a scalar field to a closed, coloured mesh, its files and its pictures."""

from gram.meshing.colors import color_vertices
from gram.meshing.fields import choose_level
from gram.meshing.files import write_gif, write_glb, write_ply
from gram.meshing.pictures import render_mesh, turntable_poses
from gram.meshing.surface import extract_surface, why_not_watertight

__all__ = [
    "choose_level",
    "color_vertices",
    "extract_surface",
    "render_mesh",
    "turntable_poses",
    "why_not_watertight",
    "write_gif",
    "write_glb",
    "write_ply",
]
