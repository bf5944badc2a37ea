"""Visible surface of one latent as a mesh: GLB, OBJ and PLY files, and a rendered image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from gram.extraction.cameras import side_to_side, surface_poses, turntable
from gram.extraction.projected_colors import ProjectedColors
from gram.extraction.surface import depth_error, visible_surface
from gram.meshing import (
    bake_texture,
    color_vertices,
    decimate,
    render_mesh,
    why_not_watertight,
    write_glb,
    write_obj,
    write_ply,
)
from pipeline.display import images
from pipeline.export.part import ExportedFiles, ExportedLatent

SHOWN_SIZE = 256
SHOWN_VIEWS = 3
DEPTH_VIEWS = 8
DEPTH_SIZE = 64
"""Side length of the images whose depth is compared, pixels."""


def export_surface(subject: ExportedLatent) -> ExportedFiles:
    """Write meshes in the formats export.formats, and NAME.png.

    Raises:
        ValueError: there is no surface, or it cannot be decimated to export.faces.
    """
    mesh = _mesh(subject)
    colors = colors_of(subject)
    colored = color_vertices(mesh, colors)
    files = _write(subject, colored, colors)
    image = subject.file(".png")
    views = side_to_side(subject.settings.yaw, SHOWN_VIEWS)
    shown = [
        render_mesh(colored, views, size=SHOWN_SIZE, fov=subject.generator.fov, colored=in_color)
        for in_color in (True, False)
    ]
    images.write_png(image, images.tile(np.concatenate(shown), columns=SHOWN_VIEWS))
    return ExportedFiles(files=[*files, image], facts=_facts(subject, mesh))


def _mesh(subject: ExportedLatent) -> trimesh.Trimesh:
    settings = subject.settings
    try:
        mesh = visible_surface(
            subject.generator,
            subject.z,
            surface_poses(subject.generator, settings.yaw),
            psi=settings.psi,
            resolution=settings.resolution,
            level=settings.level,
            largest_only=settings.largest_only,
            fill=settings.fill,
        )
        return decimate(mesh, settings.faces) if settings.faces else mesh
    except ValueError as error:
        raise ValueError(f"{subject.name}: {error}") from error


def colors_of(subject: ExportedLatent) -> ProjectedColors:
    """Colours of surface points, projected from rendered images, for `color_vertices` and `bake_texture`."""
    generator, settings = subject.generator, subject.settings
    return ProjectedColors(generator, subject.z, surface_poses(generator, settings.yaw), psi=settings.psi)


def _write(subject: ExportedLatent, colored: trimesh.Trimesh, colors: ProjectedColors) -> list[Path]:
    settings = subject.settings
    textured = colored
    if settings.texture and {"glb", "obj"} & set(settings.formats):
        textured = bake_texture(colored, colors, size=settings.texture)
    files: list[Path] = []
    for kind in settings.formats:
        path = subject.file(f".{kind}")
        if kind == "obj":
            files += write_obj(textured, path)
            continue
        if kind == "glb":
            write_glb(textured, path)
        else:  # PLY: vertex colours only, as its textures are not standardised
            write_ply(colored, path)
        files.append(path)
    return files


def _facts(subject: ExportedLatent, mesh: trimesh.Trimesh) -> Mapping[str, Any]:
    generator, settings = subject.generator, subject.settings
    views = turntable(generator, settings.yaw, DEPTH_VIEWS)
    reason = why_not_watertight(mesh)
    error = depth_error(generator, subject.z, mesh, views, size=DEPTH_SIZE, psi=settings.psi)
    return {
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.faces),
        "level": float(mesh.metadata["level"]),
        "watertight": reason is None,
        "why_not_watertight": reason,
        "texture": settings.texture,
        "bounds": np.round(mesh.bounds, 4).tolist(),
        "depth_error": error,
        "depth_error_protocol": f"mean over {DEPTH_VIEWS} views of the turntable at {DEPTH_SIZE} x "
        f"{DEPTH_SIZE} pixels, world units along rays, against the model's depth",
    }
