"""viewer.html: all latents of an export, layered and as meshes, to be turned in a browser."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from trimesh.visual import ColorVisuals

from gram.baked import BakedManifolds
from gram.latents import interpolate_latents
from pipeline import viewer
from pipeline.exporting.cameras import prior
from pipeline.exporting.manifolds import SEEN
from pipeline.exporting.subject import Subject
from pipeline.progress import Progress
from pipeline.schema import ExportConfig


def export_viewer(subjects: Sequence[Subject]) -> list[Path]:
    """viewer.html, where there are layers or meshes; its slider passes export.between others between two latents,
    if there are layers."""
    first = subjects[0]
    settings, generator = first.settings, first.generator
    baked, meshes = _bake(subjects), _meshes(subjects)
    if not baked and not meshes:
        return []
    poses = prior(generator, settings).sample(SEEN, generator=torch.Generator().manual_seed(0))
    path = viewer.write(
        first.out / "viewer.html",
        baked,
        fov=generator.fov,
        poses=first.manifolds.poses if first.manifolds else poses,
        labels=[subject.name.replace("_", " ") for subject in subjects],
        meshes=meshes,
        about=f"{generator.sampler.points_per_ray} points a ray, truncated to {settings.psi:g}",
    )
    return [path]


def _bake(subjects: Sequence[Subject]) -> list[BakedManifolds]:
    """Layers of the latents and of those between, none where there are none."""
    manifolds, between = subjects[0].manifolds, subjects[0].settings.between
    if manifolds is None:
        return []
    ends = torch.stack([subject.z for subject in subjects])
    way = interpolate_latents(ends, between)[: (len(ends) - 1) * (between + 1) + 1]
    baked = []
    with Progress("viewer", total=len(way), items="latents") as progress:
        for z in way:
            baked.append(manifolds.bake(z))
            progress.update(len(baked))
    return baked


def _meshes(subjects: Sequence[Subject]) -> list[trimesh.Trimesh]:
    """The surfaces as they were written, none where neither GLB nor PLY was."""
    kind = _kind(subjects[0].settings)
    return [_read(subject.file(kind)) for subject in subjects] if kind else []


def _kind(settings: ExportConfig) -> str | None:
    """The files whose colours are best: textures are in GLB alone, vertex colours are sRGB in PLY."""
    best = ("glb", "ply") if settings.texture else ("ply", "glb")
    return next((f".{kind}" for kind in best if kind in settings.formats), None)


def _read(path: Path) -> trimesh.Trimesh:
    mesh = trimesh.load_mesh(path, process=False)
    if path.suffix == ".glb" and getattr(mesh.visual, "uv", None) is None:
        mesh = trimesh.load_mesh(path, process=False, skip_materials=True)  # which hide colours of vertices
        assert isinstance(mesh, trimesh.Trimesh) and isinstance(mesh.visual, ColorVisuals)
        linear = np.asarray(mesh.visual.vertex_colors)[:, :3] / 255.0
        srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
        mesh.visual = ColorVisuals(mesh, vertex_colors=np.rint(srgb * 255.0).astype(np.uint8))
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh
