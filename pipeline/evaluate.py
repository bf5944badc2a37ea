"""`python -m pipeline.evaluate`: how far a model's pictures are from real ones, with the protocol."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gram.data.reader import ImageDataset
from gram.generator import Generator
from gram.metrics import Features, Measurement, compare, extract_features, load_extractor
from gram.poses import PosePrior
from pipeline import build, pictures, scene, tracking
from pipeline.cli import Stage, main
from pipeline.console import say
from pipeline.model_folder import open_model, untrained_twin
from pipeline.progress import Progress
from pipeline.schema import Config
from pipeline.train_record import recorded_run

STAGE = Stage(
    name="evaluate",
    summary="""
Measures the Frechet distance (fid), the kernel distance (kid), precision and recall between pictures of the
model and the pictures that it was trained on, and draws grids of both.

A number is called fid or kid only where it comes from Inception; with the embedded extractor it is
fid_effnetlite0, which needs no download and is not comparable with published values. protocol.json, beside
metrics.json, says for each number how it was measured.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.evaluate", "the model that was trained last"),
        ("python -m pipeline.evaluate model=models/heads64 data=heads64", "a model from a folder"),
        ("python -m pipeline.evaluate evaluate=inception", "published FID and KID, on 20 thousand pictures"),
    ),
)
GRID = 32
SHOWN_PSI = 0.7
"""Truncation of pictures that are for looking at, not for measuring."""


def run(config: Config) -> None:
    """Write metrics.json, protocol.json and pictures to paths.evaluate.

    Raises:
        ValueError: the model, the data or the extractor's weights cannot be used.
    """
    generator, size = open_model(config.paths.model)
    generator.to(build.device(config.train.device))
    dataset = ImageDataset(config.paths.train_data, size=size)
    prior = scene.training_poses(config.data, dataset.meta)
    out = Path(config.paths.evaluate)
    out.mkdir(parents=True, exist_ok=True)

    measured = _measure_all(config, generator, dataset, prior, size)
    _write_json(out / "metrics.json", _nested({name: m.values for name, m in measured.items()}))
    _write_json(out / "protocol.json", {name or "trained": m.protocol for name, m in measured.items()})
    drawn = _draw(config, generator, dataset, prior, size)
    for name, pixels in drawn.items():
        pictures.write_png(out / f"{name}.png", pixels)
    _track(config, out, measured)
    for name, measurement in measured.items():
        numbers = "  ".join(f"{metric} {value:.4g}" for metric, value in measurement.values.items())
        say(f"{name or 'trained':20} {numbers}")


def _measure_all(
    config: Config, generator: Generator, dataset: ImageDataset, prior: PosePrior, size: int
) -> dict[str, Measurement]:
    """Name ('' is the trained model) -> measurement."""
    settings = config.evaluate
    extractor = load_extractor(
        settings.extractor, weights_path=settings.inception_weights, device=build.device(config.train.device)
    )
    # Two disjoint parts of the real pictures, in an order that mixes whatever they are sorted by.
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(settings.seed))
    count = min(settings.images, len(dataset))
    if count < settings.images:
        say(f"evaluate: {count} pictures of each kind, as there are no more real ones")
    images = dataset.load_images()[order]
    common = {"seed": settings.seed, "reals": "training split"}

    def features(of: Tensor, what: str) -> Features:
        with Progress(what, total=len(of)) as progress:
            return extract_features(
                of, extractor, batch_size=settings.batch_size, progress=lambda done, _: progress.update(done)
            )

    reals = features(images[:count], "features of real pictures")
    of_model = {**common, "psi": settings.psi, "poses": str(prior), "weights": "first average"}
    fakes = features(_fakes(config, generator, prior, count, size), "features of generated pictures")
    measured = {"": compare(fakes, reals, protocol=of_model)}
    if settings.at_initialisation:
        twin = untrained_twin(config.paths.model, seed=config.seed).to(build.device(config.train.device))
        fakes = features(_fakes(config, twin, prior, count, size), "features of the untrained model")
        measured["at_initialisation"] = compare(fakes, reals, protocol={**of_model, "weights": "untrained"})
    if settings.real_against_real:
        half = min(count, len(dataset) // 2)
        others = features(images[len(images) - half :], "features of other real pictures")
        measured["real_against_real"] = compare(
            others, reals[:half], protocol={**common, "fakes": "other reals"}
        )
    return measured


def _fakes(config: Config, generator: Generator, prior: PosePrior, count: int, size: int) -> Tensor:
    """Generated pictures, uint8 (count, 3, size, size)."""
    settings = config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    z = torch.randn(count, generator.z_dim, generator=rng)
    poses = prior.sample(count, generator=rng)
    device = next(generator.parameters()).device
    drawn = []
    with Progress("generate", total=count) as progress:
        for start in range(0, count, settings.batch_size):
            part = slice(start, start + settings.batch_size)
            rendered = generator.render(
                z[part].to(device), poses[part].to(device), size=size, psi=settings.psi
            )
            drawn.append(pictures.quantised(rendered.image).cpu())
            progress.update(min(start + settings.batch_size, count))
    return torch.cat(drawn)


def _draw(
    config: Config, generator: Generator, dataset: ImageDataset, prior: PosePrior, size: int
) -> dict[str, pictures.Pixels]:
    rng = torch.Generator().manual_seed(config.evaluate.seed)
    device = next(generator.parameters()).device
    z = torch.randn(GRID, generator.z_dim, generator=rng).to(device)
    poses = prior.sample(GRID, generator=rng).to(device)
    order = torch.randperm(len(dataset), generator=rng)[:GRID].tolist()
    reals = torch.stack([dataset[i][0] for i in order]).permute(0, 2, 3, 1).numpy()
    near, far = dataset.meta.near, dataset.meta.far
    return {
        "samples": pictures.sample_grid(generator, z, poses, size=size, psi=config.evaluate.psi),
        "truncated": pictures.sample_grid(generator, z, poses, size=size, psi=SHOWN_PSI),
        "sweep": pictures.yaw_sweep(
            generator,
            z[:4],
            size=size,
            yaw=scene.shown_yaw(config.data, dataset.meta),
            near=near,
            far=far,
            psi=SHOWN_PSI,
        ),
        "reals": pictures.tile(reals, columns=8),
    }


def _track(config: Config, out: Path, measured: dict[str, Measurement]) -> None:
    """Add to the run that trained the model."""
    run_id = recorded_run(config.paths.model)
    tracker = tracking.start(config.tracking, run_id=run_id)
    for name, measurement in measured.items():
        prefix = f"{name}." if name else ""
        tracker.values({f"{prefix}{metric}": value for metric, value in measurement.values.items()})
    tracker.artifact(out, "evaluate")
    tracker.finish()


def _nested(values: dict[str, dict[str, float]]) -> dict[str, Any]:
    return {**values.pop(""), **values}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
