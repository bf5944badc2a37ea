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
from gram.models import load_model, load_settings
from gram.poses import PosePrior
from pipeline import build, pictures, scene, tracking
from pipeline.cli import Stage, main
from pipeline.console import say
from pipeline.progress import Progress
from pipeline.schema import Config

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
    reads_model=True,
)
GRID = 32
SHOWN_PSI = 0.7
"""Truncation of pictures that are for looking at, not for measuring."""


def run(config: Config) -> None:
    """Write metrics.json, protocol.json and pictures to paths.evaluate.

    Raises:
        ValueError: the model, the data or the extractor's weights cannot be used.
    """
    generator = load_model(config.paths.model).to(build.device(config.train.device))
    described = load_settings(config.paths.model)
    size = described["discriminator"]["size"]
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
    _track(config, out, measured, described["made_from"]["run"])
    for name, measurement in measured.items():
        numbers = "  ".join(f"{metric} {value:.4g}" for metric, value in measurement.values.items())
        say(f"{name or 'trained':20} {numbers}")


class _Ruler:
    """Measures sets of pictures with one extractor, and keeps the features of those that come again."""

    def __init__(self, config: Config) -> None:
        self._settings = config.evaluate
        self._kept = Path(config.paths.checkpoints) / "features"
        self._extractor = load_extractor(
            config.evaluate.extractor,
            weights_path=config.evaluate.inception_weights,
            device=build.device(config.train.device),
        )

    def features(self, images: Tensor, what: str, *, keep: bool = False) -> Features:
        """Features of uint8 pictures."""
        with Progress(f"features of {what}", total=len(images)) as progress:
            return extract_features(
                images,
                self._extractor,
                batch_size=self._settings.batch_size,
                cache_dir=self._kept if keep else None,
                progress=lambda done, _: progress.update(done),
            )


def _measure_all(
    config: Config, generator: Generator, dataset: ImageDataset, prior: PosePrior, size: int
) -> dict[str, Measurement]:
    """Name ('' is the trained model) -> measurement."""
    settings, ruler = config.evaluate, _Ruler(config)
    # Disjoint parts of the real pictures are its ends, in an order that mixes whatever they are sorted by.
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(settings.seed))
    images = dataset.load_images()[order]
    count = min(settings.images, len(images))
    if count < settings.images:
        say(f"evaluate: {count} pictures of each kind, as there are no more real ones")
    reals = ruler.features(images[:count], "real pictures", keep=True)
    common = {"seed": settings.seed, "reals": "training split", "data_hash": dataset.content_hash}
    protocol = {**common, "psi": settings.psi, "poses": str(prior), "weights": "first average"}
    fakes = ruler.features(_fakes(config, generator, prior, count, size), "generated pictures")
    measured = {"": compare(fakes, reals, protocol=protocol)}
    if settings.at_initialisation:
        twin = build.untrained_twin(config.paths.model).to(next(generator.parameters()).device)
        fakes = ruler.features(_fakes(config, twin, prior, count, size), "the untrained model", keep=True)
        measured["at_initialisation"] = compare(fakes, reals, protocol={**protocol, "weights": "untrained"})
    if settings.real_against_real:
        half = min(count, len(images) // 2)
        others = ruler.features(images[len(images) - half :], "other real pictures", keep=True)
        protocol = {**common, "fakes": "other real pictures"}
        measured["real_against_real"] = compare(others, reals[:half], protocol=protocol)
    return measured


def _fakes(config: Config, generator: Generator, prior: PosePrior, count: int, size: int) -> Tensor:
    """Generated pictures, uint8 (count, 3, size, size)."""
    settings = config.evaluate
    rng = torch.Generator().manual_seed(settings.seed)
    device = next(generator.parameters()).device
    z = torch.randn(count, generator.z_dim, generator=rng).to(device).split(settings.batch_size)
    poses = prior.sample(count, generator=rng).to(device).split(settings.batch_size)
    drawn: list[Tensor] = []
    with Progress("generate", total=count) as progress:
        for some_z, some_poses in zip(z, poses, strict=True):
            rendered = generator.render(some_z, some_poses, size=size, psi=settings.psi)
            drawn.append(pictures.quantised(rendered.image).cpu())
            progress.update(sum(map(len, drawn)))
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


def _track(config: Config, out: Path, measured: dict[str, Measurement], run_id: str | None) -> None:
    """Add to the run that trained the model."""
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
