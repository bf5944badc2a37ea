"""viewer.html: all latents of an export, layered and as meshes, to be turned in a browser."""

from collections.abc import Sequence
from pathlib import Path

import torch
import trimesh

from gram.extraction.baking import BakedManifolds
from gram.meshing import color_vertices
from gram.model.latents import interpolate_latents
from pipeline.cli.progress import Progress
from pipeline.export import viewer
from pipeline.export.cameras import prior
from pipeline.export.layers import SEEN
from pipeline.export.part import ExportedLatent
from pipeline.export.surface import colors_of


def export_viewer(subjects: Sequence[ExportedLatent]) -> list[Path]:
    """viewer.html, where there are layers or meshes; between latents its slider passes export.between others
    that have layers."""
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


def _bake(subjects: Sequence[ExportedLatent]) -> list[BakedManifolds]:
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


def _meshes(subjects: Sequence[ExportedLatent]) -> list[trimesh.Trimesh]:
    """The surfaces as they were written, none where neither GLB nor PLY was."""
    kind = next((kind for kind in ("glb", "ply") if kind in subjects[0].settings.formats), None)
    return [_read(subject, f".{kind}") for subject in subjects] if kind else []


def _read(subject: ExportedLatent, kind: str) -> trimesh.Trimesh:
    """A mesh with its texture, or with colours of its vertices, which trimesh cannot read from GLB."""
    mesh = trimesh.load_mesh(subject.file(kind), process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    bare = kind == ".glb" and getattr(mesh.visual, "uv", None) is None
    return color_vertices(mesh, colors_of(subject)) if bare else mesh
