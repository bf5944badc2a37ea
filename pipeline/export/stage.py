"""`python -m pipeline.export`: meshes, layered representations, videos and a viewer of a trained model."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gram.model.folder import load_model
from pipeline.cli.console import say
from pipeline.cli.progress import Progress
from pipeline.cli.stage import Stage
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.export.baker import layer_baker
from pipeline.export.layers import export_layers
from pipeline.export.page import export_viewer
from pipeline.export.part import ExportedLatent, Part, SharedPart, exported_latents
from pipeline.export.surface import export_surface
from pipeline.export.videos import export_interpolation, export_turntable
from pipeline.runtime import build, device, estimates, outputs
from pipeline.runtime.recognition import EXPORT, TOGETHER
from pipeline.tracking import identity, runs

STAGE = Stage(
    name="export",
    summary="""
For every seed, or every latent of a file: the visible surface as a closed mesh (GLB, OBJ with its material,
PLY; y up, facing +z) with a texture or vertex colours and an image of it; the layered representation (the
model's isosurfaces with their textures) as NAME_layers.glb; and a turntable. For all together, an
interpolation video and viewer.html, which shows layers and meshes in any browser.

meshes.json lists for each the number of triangles, whether it is watertight, or why not, its depth error
against the model, and the PSNR of the layered representation against the model's images.""",
    groups=("export", "paths"),
    examples=(
        ("python -m pipeline.export", "the seeds of params.yaml, with the model that was trained last"),
        ("python -m pipeline.export export.seeds=[7,8] export.resolution=256", "two finer meshes"),
        ("python -m pipeline.export export.latents=found.safetensors", "latents of a file"),
        ("python -m pipeline.export export.faces=5000 export.texture=1024", "small meshes, fine textures"),
        ("python -m pipeline.export model=models/heads64", "a model from a folder"),
    ),
    reads_model=True,
    require_room=partial(estimates.require_room, "export"),
)
PARTS: tuple[Part, ...] = (export_surface, export_layers, export_turntable)
"""Parts of the export of each latent."""
SHARED_PARTS: tuple[SharedPart, ...] = (export_interpolation, export_viewer)
"""Parts of the export of all latents together."""


def run(config: Config) -> None:
    """Write meshes, videos and meshes.json to paths.export.

    Raises:
        ValueError: the model or the latents are unusable, there is no surface at export.level, or
            paths.export holds something that this stage did not write.
    """
    out = Path(config.paths.export)
    with outputs.replacing(out, EXPORT) as aside:
        described = build.described(config.paths.model, "run")
        facts, shared = _write(config, aside)
    for name, fact in facts.items():
        say(f"{out / name}: {_summary(fact)}")
    for path in shared:
        say(f"{out / path.name}: {', '.join(facts)}")
    run_id, checkpoints = described["made_from"]["run"], lasting(config.paths.checkpoints)
    runs.add(config.tracking, run_id, "export", artifacts={out: "export"}, checkpoints=checkpoints)


def _write(config: Config, out: Path) -> tuple[dict[str, dict[str, Any]], list[Path]]:
    """Write all files: entries of meshes.json by latent, and files of all latents together."""
    generator = device.place(load_model(config.paths.model), config.train)
    digest = identity.generator_digest(config.paths.model)
    subjects = exported_latents(generator, config.export, out, layer_baker(generator, config.export))
    facts: dict[str, dict[str, Any]] = {}
    with Progress("export", total=len(subjects) * len(PARTS), items="parts") as progress:
        for subject in subjects:
            facts[subject.name] = _export(subject, progress, done=len(facts) * len(PARTS))
    shared = [path for part in SHARED_PARTS for path in part(subjects)]
    for fact in facts.values():
        fact[TOGETHER] = [path.name for path in shared]
        fact[identity.KEY] = {"generator": digest}
    (out / "meshes.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts, shared


def _export(subject: ExportedLatent, progress: Progress, *, done: int) -> dict[str, Any]:
    """Write all parts of one latent, and return its entry in meshes.json."""
    facts: dict[str, Any] = {}
    files: list[Path] = []
    for number, part in enumerate(PARTS, start=1):
        written = part(subject)
        facts |= written.facts
        files += written.files
        progress.update(done + number)
    return facts | {"files": {path.name: path.stat().st_size for path in files}}


def _summary(fact: Mapping[str, Any]) -> str:
    state = "watertight" if fact["watertight"] else f"not watertight: {fact['why_not_watertight']}"
    kinds = " ".join(sorted({name.partition(".")[2] for name in fact["files"]}))
    error = f"depth error {fact['depth_error']:.3g}"
    psnr = f", layers {fact['layers_psnr']:.1f} dB" if fact["layers"] else ""
    return f"{fact['triangles']} triangles, {state}, {error}{psnr}, {kinds}"
