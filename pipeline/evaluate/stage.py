"""`python -m pipeline.evaluate`: metrics of a trained model, with their protocol."""

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
from pipeline.evaluate import consistency, distances, inversions, poses, samples, sampling_noise, surfaces
from pipeline.evaluate.part import EvaluatedModel, Part, PartResult
from pipeline.runtime import build, device, estimates, outputs
from pipeline.runtime.recognition import EVALUATION
from pipeline.tracking import identity, runs

STAGE = Stage(
    name="evaluate",
    summary="""
Measures the Frechet distance (fid), the kernel distance (kid), precision and recall between generated images
and the training images, and draws grids of both.

A number is called fid or kid only if it comes from Inception; with the embedded extractor it is
fid_effnetlite0, which needs no download and is not comparable with published values. protocol.json, beside
metrics.json, describes how each number was measured.

With held-out heads or cars, the model is fitted to a view of each and renders the other views, which are
compared with the real ones, including depth and surfaces where these are known: inversions.png, and
inversions.safetensors with the latents.

noise.json, noise.png and noise_crops.png show noise and error of images with few points per ray, of this
model and of an analytic field, with the model's sampler and with all others in its place.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.evaluate", "the model that was trained last"),
        ("python -m pipeline.evaluate experiment=heads64small model=models/heads64", "a model from a folder"),
        ("python -m pipeline.evaluate evaluate=inception", "published FID and KID, on 20 thousand images"),
    ),
    reads_model=True,
    require_room=partial(estimates.require_room, "evaluate"),
)
PARTS: dict[str, Part] = {
    "inversions": inversions.measure,
    "consistency": consistency.measure,
    "poses": poses.measure,
    "surfaces": surfaces.measure,
    "sampling_noise": sampling_noise.compare_samplers,
}
"""Parts of the evaluation by their name in metrics.json, in the order of the report."""
TRAINED = "trained"
"""Name of the trained model's distances in protocol.json."""


def run(config: Config) -> None:
    """Write metrics.json, protocol.json and images to paths.evaluate.

    Raises:
        ValueError: the model, the data or the extractor's weights are unusable, or paths.evaluate holds
            something that this stage did not write.
    """
    out = Path(config.paths.evaluate)
    with (
        outputs.reading(Path(config.paths.train_data), STAGE.name),
        outputs.reading(Path(config.paths.test_data), STAGE.name),
        outputs.replacing(out, EVALUATION) as aside,
    ):
        described = build.described(config.paths.model, "run", "seed")
        paths = replace(config.paths, evaluate=str(aside))
        values, results = _evaluate(replace(config, paths=paths), described, aside)
    _track(config, out, values, described["made_from"]["run"])
    for name, numbers in values.items():
        say(f"{name or TRAINED:20} " + "  ".join(f"{metric} {x:.4g}" for metric, x in numbers.items()))
    for name, result in results.items():
        if result.skipped:
            say(f"{name:20} skipped: {result.skipped}")


def _evaluate(
    config: Config, described: dict[str, Any], out: Path
) -> tuple[dict[str, dict[str, float]], dict[str, PartResult]]:
    """Run all parts: numbers by part ("" is the trained model's distances), and results by part."""
    generator = device.place(load_model(config.paths.model), config.train)
    subject = EvaluatedModel.of(config, generator, described)
    measured = distances.measure(subject)
    results = {name: part(subject) for name, part in PARTS.items()}
    values = {name: m.values for name, m in measured.items()}
    protocols = {name or TRAINED: m.protocol for name, m in measured.items()}
    if not measured:
        protocols[TRAINED] = {"skipped": distances.too_few(subject)}
        say(f"{TRAINED:20} skipped: {distances.too_few(subject)}")
    values |= {name: dict(result.values) for name, result in results.items() if not result.skipped}
    named = {name: numbers for name, numbers in values.items() if name}
    _write_json(out / "metrics.json", {**values.get("", {}), **named})
    protocols |= {name: result.protocol_entry for name, result in results.items()}
    _write_json(out / "protocol.json", protocols | {identity.KEY: subject.made_of})
    drawn = samples.draw(subject)
    for result in results.values():
        drawn |= result.images
    for name, pixels in drawn.items():
        images.write_png(out / f"{name}.png", pixels)
    return values, results


def _track(config: Config, out: Path, values: dict[str, dict[str, float]], run_id: str | None) -> None:
    """Add numbers and files to the run that trained the model."""
    prefixed = ((f"{name}." if name else "", numbers) for name, numbers in values.items())
    flat = {f"{prefix}{metric}": x for prefix, numbers in prefixed for metric, x in numbers.items()}
    checkpoints = lasting(config.paths.checkpoints)
    runs.add(
        config.tracking, run_id, "evaluate", values=flat, artifacts={out: "evaluate"}, checkpoints=checkpoints
    )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
