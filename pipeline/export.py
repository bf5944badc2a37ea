"""`python -m pipeline.export`: meshes with colours and turntables of a trained model."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gram.generator import Generator
from gram.meshing import (
    color_vertices,
    extract_surface,
    render_mesh,
    turntable_poses,
    why_not_watertight,
    write_gif,
    write_glb,
    write_ply,
)
from gram.models import load_model, load_settings
from pipeline import build, pictures, tracking
from pipeline.cli import Stage, main
from pipeline.console import say
from pipeline.progress import Progress
from pipeline.schema import Config

STAGE = Stage(
    name="export",
    summary="""
For every seed: a surface mesh with vertex colours (GLB and PLY, y up, facing +z), a turntable (GIF) and a
picture of the mesh. The mesh is the surface of equal occupancy, found by marching cubes; its level is chosen
unless given. meshes.json says for each its size, its level, and whether it is watertight, or why not.""",
    groups=("export", "paths"),
    examples=(
        ("python -m pipeline.export", "the seeds of params.yaml, with the model that was trained last"),
        ("python -m pipeline.export export.seeds=[7,8] export.resolution=256", "two finer meshes"),
        ("python -m pipeline.export model=models/heads64", "a model from a folder"),
    ),
    reads_model=True,
)
PREVIEW_SIZE = 256
PREVIEW_VIEWS = 3
PLANE_MARGIN = 0.02
"""Distance to the background plane, in front of which nothing of a head is that near."""


def run(config: Config) -> None:
    """Write meshes, turntables and meshes.json to paths.export.

    Raises:
        ValueError: the model cannot be used, or there is no surface at export.level.
    """
    settings = config.export
    generator = load_model(config.paths.model).to(build.device(config.train.device))
    out = Path(config.paths.export)
    out.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {}
    with Progress("export", total=len(settings.seeds), items="meshes") as progress:
        for done, seed in enumerate(settings.seeds, start=1):
            facts[f"seed_{seed:04d}"] = _export_one(config, generator, seed, out)
            progress.update(done)
    (out / "meshes.json").write_text(json.dumps(facts, indent=2) + "\n")
    for name, fact in facts.items():
        state = "watertight" if fact["watertight"] else f"not watertight: {fact['why_not_watertight']}"
        say(f"{out / name}.glb: {fact['triangles']} triangles, level {fact['level']:.3g}, {state}")
    tracker = tracking.start(config.tracking, run_id=load_settings(config.paths.model)["made_from"]["run"])
    tracker.artifact(out, "export")
    tracker.finish()


def _export_one(config: Config, generator: Generator, seed: int, out: Path) -> dict[str, Any]:
    settings, name = config.export, f"seed_{seed:04d}"
    device = next(generator.parameters()).device
    z = torch.randn(generator.z_dim, generator=torch.Generator().manual_seed(seed)).to(device)

    def occupancy(points: Tensor) -> Tensor:
        return generator.occupancy(z, points.to(device), psi=settings.psi)

    def color(points: Tensor, directions: Tensor) -> Tensor:
        return generator.color(z, points.to(device), directions.to(device), psi=settings.psi)

    mesh = extract_surface(
        occupancy,
        bounds=bounds(generator),
        resolution=settings.resolution,
        level=settings.level,
        largest_only=settings.largest_only,
    )
    mesh = color_vertices(mesh, color)
    write_glb(mesh, out / f"{name}.glb")
    write_ply(mesh, out / f"{name}.ply")
    around = generator.sampler.white_background
    poses = turntable_poses(settings.frames, swing=None if around else settings.yaw)
    frames = generator.render(
        z.expand(len(poses), -1), poses.to(device), size=settings.size, psi=settings.psi
    )
    write_gif(pictures.to_pixels(frames.image), out / f"{name}.gif", fps=settings.fps)
    yaws = torch.pi / 2 - torch.linspace(-settings.yaw, settings.yaw, PREVIEW_VIEWS)
    views = torch.stack([torch.full_like(yaws, torch.pi / 2), yaws], dim=1)
    preview = render_mesh(mesh, views, size=PREVIEW_SIZE, fov=generator.fov)
    pictures.write_png(out / f"{name}.png", pictures.tile(preview, columns=PREVIEW_VIEWS))
    reason = why_not_watertight(mesh)
    return {
        "vertices": len(mesh.vertices),
        "triangles": len(mesh.faces),
        "level": float(mesh.metadata["level"]),
        "watertight": reason is None,
        "why_not_watertight": reason,
        "bounds": np.round(mesh.bounds, 4).tolist(),
    }


def bounds(generator: Generator) -> list[tuple[float, float]]:
    """The box that the surface is looked for in: the visible one, in front of the background plane if any."""
    sampler = generator.sampler
    half = min(generator.radiance.box / 2.0, max(1.0 - sampler.near, sampler.far - 1.0))
    plane = sampler.background_z
    behind = -half if plane is None else max(-half, plane + PLANE_MARGIN)
    return [(-half, half), (-half, half), (behind, half)]


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
