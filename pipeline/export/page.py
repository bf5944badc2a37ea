"""viewer.html: 3D viewer of the layered representations and meshes of an export."""

from collections.abc import Sequence
from pathlib import Path

import torch
import trimesh

from gram.extraction.baking import BakedManifolds
from gram.extraction.cameras import prior
from gram.meshing import color_vertices
from gram.model.latents import interpolate_latents
from pipeline.cli.progress import Progress
from pipeline.export import viewer
from pipeline.export.baker import CAMERAS
from pipeline.export.part import ExportedLatent
from pipeline.export.surface import colors_of


def export_viewer(subjects: Sequence[ExportedLatent]) -> list[Path]:
    """Write viewer.html if there are layers or meshes, with export.between latents between neighbours."""
    first = subjects[0]
    settings, generator = first.settings, first.generator
    baked, meshes = _bake(subjects), _meshes(subjects)
    if not baked and not meshes:
        return []
    poses = prior(generator, settings.yaw).sample(CAMERAS, generator=torch.Generator().manual_seed(0))
    path = viewer.write(
        first.out / "viewer.html",
        baked,
        fov=generator.fov,
        poses=first.baker.poses if first.baker else poses,
        labels=[subject.name.replace("_", " ") for subject in subjects],
        meshes=meshes,
        about=f"{generator.sampler.points_per_ray} points per ray, truncated to {settings.psi:g}",
    )
    return [path]


def _bake(subjects: Sequence[ExportedLatent]) -> list[BakedManifolds]:
    """Layered representations of all latents and of the interpolated ones; empty without a baker."""
    baker, between = subjects[0].baker, subjects[0].settings.between
    if baker is None:
        return []
    ends = torch.stack([subject.z for subject in subjects])
    latents = interpolate_latents(ends, between)[: (len(ends) - 1) * (between + 1) + 1]
    baked = []
    with Progress("viewer", total=len(latents), items="latents") as progress:
        for z in latents:
            baked.append(baker.bake(z))
            progress.update(len(baked))
    return baked


def _meshes(subjects: Sequence[ExportedLatent]) -> list[trimesh.Trimesh]:
    """Read the exported surfaces; empty if neither GLB nor PLY was written."""
    kind = next((kind for kind in ("glb", "ply") if kind in subjects[0].settings.formats), None)
    return [_read(subject, f".{kind}") for subject in subjects] if kind else []


def _read(subject: ExportedLatent, kind: str) -> trimesh.Trimesh:
    """Read a mesh with its texture, or with recomputed vertex colours, which trimesh drops in GLB."""
    mesh = trimesh.load_mesh(subject.file(kind), process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    bare = kind == ".glb" and getattr(mesh.visual, "uv", None) is None
    return color_vertices(mesh, colors_of(subject)) if bare else mesh
