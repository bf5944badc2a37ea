"""`python -m pipeline.export`: meshes, videos and pictures of a trained model."""

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
from pipeline.export.layers import export_layers, manifolds_of
from pipeline.export.page import export_viewer
from pipeline.export.part import Ending, ExportedLatent, Part, subjects
from pipeline.export.surface import export_surface
from pipeline.export.videos import export_interpolation, export_turntable
from pipeline.runtime import build, device, estimates, outputs
from pipeline.runtime.recognition import EXPORT, TOGETHER
from pipeline.tracking import identity, runs

STAGE = Stage(
    name="export",
    summary="""
For every seed, or every latent of a file: the surface that its pictures show as a closed mesh (GLB, OBJ with
its material, PLY; y up, facing +z) with a texture or vertex colours and a picture of it; the model's own
surfaces, one behind the other with their textures, as NAME_layers.glb; and a turntable. For all together a
video in which one becomes the next, and viewer.html, which shows layers and meshes in any browser.

meshes.json says for each its triangles, whether it is watertight, or why not, how far it is from the depth
that the model draws, and how much the layers look like the model's own pictures.""",
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
"""What is made of each latent."""
ENDINGS: tuple[Ending, ...] = (export_interpolation, export_viewer)
"""What is made of all of them, afterwards."""


def run(config: Config) -> None:
    """Write meshes, videos and meshes.json to paths.export.

    Raises:
        ValueError: the model or the latents cannot be used, there is no surface at export.level, or something
            that this stage did not write is in its place.
    """
    out = Path(config.paths.export)
    with outputs.replacing(out, EXPORT) as aside:
        described = build.described(config.paths.model, "run")
        facts, together = _write(config, aside)
    for name, fact in facts.items():
        say(f"{out / name}: {_in_words(fact)}")
    for path in together:
        say(f"{out / path.name}: {', '.join(facts)}")
    run_id, checkpoints = described["made_from"]["run"], lasting(config.paths.checkpoints)
    runs.add(config.tracking, run_id, "export", artifacts={out: "export"}, checkpoints=checkpoints)


def _write(config: Config, out: Path) -> tuple[dict[str, dict[str, Any]], list[Path]]:
    """All files: what meshes.json says of each latent, and those of all latents together."""
    generator = load_model(config.paths.model).to(device.working_device(config.train))
    digest = identity.generator_digest(config.paths.model)
    chosen = subjects(generator, config.export, out, manifolds_of(generator, config.export))
    facts: dict[str, dict[str, Any]] = {}
    with Progress("export", total=len(chosen) * len(PARTS), items="parts") as progress:
        for subject in chosen:
            facts[subject.name] = _export(subject, progress, done=len(facts) * len(PARTS))
    together = [path for ending in ENDINGS for path in ending(chosen)]
    for fact in facts.values():
        fact[TOGETHER] = [path.name for path in together]
        fact[identity.KEY] = {"generator": digest}
    (out / "meshes.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return facts, together


def _export(subject: ExportedLatent, progress: Progress, *, done: int) -> dict[str, Any]:
    """All parts of one latent, and what meshes.json says of it."""
    facts: dict[str, Any] = {}
    files: list[Path] = []
    for number, part in enumerate(PARTS, start=1):
        made = part(subject)
        facts |= made.facts
        files += made.files
        progress.update(done + number)
    return facts | {"files": {path.name: path.stat().st_size for path in files}}


def _in_words(fact: Mapping[str, Any]) -> str:
    state = "watertight" if fact["watertight"] else f"not watertight: {fact['why_not_watertight']}"
    kinds = " ".join(sorted({name.partition(".")[2] for name in fact["files"]}))
    error = f"depth error {fact['depth_error']:.3g}"
    likeness = f", layers {fact['layers_psnr']:.1f} dB" if fact["layers"] else ""
    return f"{fact['triangles']} triangles, {state}, {error}{likeness}, {kinds}"
