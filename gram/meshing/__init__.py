"""Meshes of scalar fields: extraction, colours, textures, layers, files, rendering."""

from gram.meshing.colors import color_vertices
from gram.meshing.decimation import decimate
from gram.meshing.fields import choose_level
from gram.meshing.files import write_glb, write_obj, write_ply
from gram.meshing.layers import ImageLayer, draw_layers, read_layers, write_layers
from gram.meshing.opacity import accumulated_opacity
from gram.meshing.raycasting import mesh_depth
from gram.meshing.render import render_mesh, turntable_poses
from gram.meshing.surface import extract_surface, why_not_watertight
from gram.meshing.textures import bake_texture
from gram.meshing.videos import write_gif, write_mp4

__all__ = [
    "ImageLayer",
    "accumulated_opacity",
    "bake_texture",
    "choose_level",
    "color_vertices",
    "decimate",
    "draw_layers",
    "extract_surface",
    "mesh_depth",
    "read_layers",
    "render_mesh",
    "turntable_poses",
    "why_not_watertight",
    "write_gif",
    "write_glb",
    "write_layers",
    "write_mp4",
    "write_obj",
    "write_ply",
]
