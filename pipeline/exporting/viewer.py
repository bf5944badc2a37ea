"""viewer.html: all latents of an export, layered and as meshes, to be turned in a browser."""

from collections.abc import Sequence
from pathlib import Path

import torch
import trimesh

from gram.latents import interpolate_latents
from pipeline import viewer
from pipeline.exporting.subject import Subject
from pipeline.progress import Progress


def export_viewer(subjects: Sequence[Subject]) -> list[Path]:
    """viewer.html, where there are layers; its slider passes export.between others between two latents."""
    first = subjects[0]
    manifolds, settings = first.manifolds, first.settings
    if manifolds is None:
        return []
    ends = torch.stack([subject.z for subject in subjects])
    way = interpolate_latents(ends, settings.between)[: (len(ends) - 1) * (settings.between + 1) + 1]
    baked = []
    with Progress("viewer", total=len(way), items="latents") as progress:
        for z in way:
            baked.append(manifolds.bake(z))
            progress.update(len(baked))
    path = viewer.write(
        first.out / "viewer.html",
        baked,
        poses=manifolds.poses,
        labels=[subject.name.replace("_", " ") for subject in subjects],
        meshes=_meshes(subjects) if "glb" in settings.formats else [],
        about=f"{first.generator.sampler.points_per_ray} points a ray, truncated to {settings.psi:g}",
    )
    return [path]


def _meshes(subjects: Sequence[Subject]) -> list[trimesh.Trimesh]:
    """The surfaces, as they were written."""
    read = [trimesh.load_mesh(subject.file(".glb")) for subject in subjects]
    return [mesh for mesh in read if isinstance(mesh, trimesh.Trimesh)]
