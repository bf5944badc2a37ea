"""`python -m pipeline.evaluate`: how far a model's pictures are from real ones, with the protocol."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gram.model.folder import load_model
from pipeline.cli.console import say
from pipeline.cli.stage import Stage
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.display import images
from pipeline.evaluate import consistency, distances, inversions, poses, sampler_comparison, samples, surfaces
from pipeline.evaluate.part import EvaluatedModel, Part, PartResult
from pipeline.runtime import build, device, estimates, outputs
from pipeline.runtime.recognition import EVALUATION
from pipeline.tracking import identity, runs

STAGE = Stage(
    name="evaluate",
    summary="""
Measures the Frechet distance (fid), the kernel distance (kid), precision and recall between pictures of the
model and the pictures that it was trained on, and draws grids of both.

A number is called fid or kid only where it comes from Inception; with the embedded extractor it is
fid_effnetlite0, which needs no download and is not comparable with published values. protocol.json, beside
metrics.json, says for each number how it was measured.

Where there are held-out heads or cars, the model is fitted to a view of each and draws the others, which are
compared with the truth, in three dimensions, too, where that is known: inversions.png, and
inversions.safetensors with the latents.

noise.json, noise.png and noise_crops.png tell how noisy and how wrong pictures become with few points a ray,
of this model and of a field in closed form, with its own sampler and with all others in its place.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.evaluate", "the model that was trained last"),
        ("python -m pipeline.evaluate experiment=heads64small model=models/heads64", "a model from a folder"),
        ("python -m pipeline.evaluate evaluate=inception", "published FID and KID, on 20 thousand pictures"),
    ),
    reads_model=True,
    require_room=partial(estimates.require_room, "evaluate"),
)
PARTS: dict[str, Part] = {
    "inversions": inversions.find,
    "consistency": consistency.find,
    "poses": poses.find,
    "surfaces": surfaces.find,
    "sampling_noise": sampler_comparison.find,
}
"""Name in metrics.json -> what finds it, in the order of the report."""
TRAINED = "trained"
"""Name of the model's own distances in protocol.json."""


def run(config: Config) -> None:
    """Write metrics.json, protocol.json and pictures to paths.evaluate.

    Raises:
        ValueError: the model, the data or the extractor's weights cannot be used, or something that this
            stage did not write is in its place.
    """
    out = Path(config.paths.evaluate)
    with (
        outputs.reading(Path(config.paths.train_data), STAGE.name),
        outputs.reading(Path(config.paths.test_data), STAGE.name),
        outputs.replacing(out, EVALUATION) as aside,
    ):
        described = build.described(config.paths.model, "run", "seed")
        paths = replace(config.paths, evaluate=str(aside))
        values, findings = _evaluate(replace(config, paths=paths), described, aside)
    _track(config, out, values, described["made_from"]["run"])
    for name, numbers in values.items():
        say(f"{name or TRAINED:20} " + "  ".join(f"{what} {x:.4g}" for what, x in numbers.items()))
    for name, finding in findings.items():
        if finding.skipped:
            say(f"{name:20} skipped: {finding.skipped}")


def _evaluate(
    config: Config, described: dict[str, Any], out: Path
) -> tuple[dict[str, dict[str, float]], dict[str, PartResult]]:
    """All parts: numbers by whose they are, and what was found."""
    generator = load_model(config.paths.model).to(device.working_device(config.train))
    subject = EvaluatedModel.of(config, generator, described)
    measured = distances.measure(subject)
    findings = {name: part(subject) for name, part in PARTS.items()}
    values = {name: m.values for name, m in measured.items()}
    protocols = {name or TRAINED: m.protocol for name, m in measured.items()}
    if not measured:
        protocols[TRAINED] = {"skipped": distances.too_few(subject)}
        say(f"{TRAINED:20} skipped: {distances.too_few(subject)}")
    values |= {name: dict(finding.values) for name, finding in findings.items() if not finding.skipped}
    _write_json(out / "metrics.json", _nested(values))
    protocols |= {name: finding.account for name, finding in findings.items()}
    _write_json(out / "protocol.json", protocols | {identity.KEY: subject.made_of})
    drawn = samples.draw(subject)
    for finding in findings.values():
        drawn |= finding.pictures
    for name, pixels in drawn.items():
        images.write_png(out / f"{name}.png", pixels)
    return values, findings


def _track(config: Config, out: Path, values: dict[str, dict[str, float]], run_id: str | None) -> None:
    """Add to the run that trained the model."""
    prefixed = ((f"{name}." if name else "", numbers) for name, numbers in values.items())
    flat = {f"{prefix}{metric}": x for prefix, numbers in prefixed for metric, x in numbers.items()}
    checkpoints = lasting(config.paths.checkpoints)
    runs.add(
        config.tracking, run_id, "evaluate", values=flat, artifacts={out: "evaluate"}, checkpoints=checkpoints
    )


def _nested(values: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {**values.get("", {}), **{name: numbers for name, numbers in values.items() if name}}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
