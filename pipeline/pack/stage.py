"""`python -m pipeline.pack`: small folder of a trained model for publication."""

import copy
import json
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from gram.metrics.similarity import psnr
from gram.model.folder import load_discriminator, load_model, model_files
from gram.model.generator import Generator
from gram.system.folders import write_file
from pipeline.cli.console import say
from pipeline.cli.stage import Flag, Stage
from pipeline.config.pinned import shareable
from pipeline.config.schema import Config
from pipeline.display.images import encode_png
from pipeline.evaluate import distances, samples
from pipeline.evaluate.part import EvaluatedModel
from pipeline.pack.model_card import model_card
from pipeline.report.facts import ORIGIN
from pipeline.runtime import build, device, outputs
from pipeline.runtime.recognition import PACK
from pipeline.tracking import identity
from pipeline.tracking.fingerprint import fingerprint

STAGE = Stage(
    name="pack",
    summary="""
Writes everything that others need to use and judge a model: weights in half precision, README.md with its
origin and how to reproduce it, images, metrics.json with the protocol of all numbers, and the configuration.
Metrics and images are of the weights in half precision. The folder replaces an existing model atomically.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.pack --to models/mine", "last trained model"),
        (
            "python -m pipeline.pack experiment=heads64small model=runs/train/best --to models/heads64",
            "best model of a run",
        ),
    ),
    reads_model=True,
    flags=(
        Flag(name="to", value="FOLDER", meaning="folder to write"),
        Flag(name="note", value="TEXT", meaning="line for its README.md, such as machine and hours"),
    ),
)
LIKENESS = 35.0
"""Minimum PSNR in dB between images before and after rounding."""
COMPARED = 8
"""Number of images of that comparison."""

Network = TypeVar("Network", bound=nn.Module)


def run(config: Config, *, to: str = "", note: str = "") -> None:
    """Write the folder `to`.

    Raises:
        ValueError: there are foreign files in its place; the model or the data cannot be used, or are not
            those of the configuration; or half precision is too coarse for the weights.
        OSError: it cannot be written; existing files are intact.
    """
    target = _target(to, config.paths.model)
    reading = outputs.reading(Path(config.paths.train_data), STAGE.name)
    with reading, outputs.replacing(target, PACK) as aside:
        settings = build.described(config.paths.model, *ORIGIN)
        files = _files(config, target, settings, note)
        for name, content in files.items():
            write_file(aside / name, content)
    say(f"pack: {target}, {sum(map(len, files.values())) / 1e6:.1f} MB; README.md describes it")


def _files(config: Config, target: Path, settings: dict[str, Any], note: str) -> dict[str, bytes]:
    """Contents of the packed files, by name."""
    trained = device.place(load_model(config.paths.model), config.train)
    discriminator = load_discriminator(config.paths.model)
    settings["made_from"]["run"] = None  # identifier in a store that others lack
    subject = EvaluatedModel.of(config, rounded(trained), settings)
    _require_own_configuration(subject)
    likeness = _likeness(trained, subject)
    measured = {name or "trained": m for name, m in distances.measure(subject).items()}
    if not measured:
        raise ValueError(
            f"{config.paths.train_data}: {distances.too_few(subject)}: a packed model needs metrics"
        )
    drawn = samples.draw(subject)
    shown = {"samples.png": drawn["samples"], "sweep.png": drawn["sweep"]}
    card = model_card(target, subject, measured, note=note, likeness=likeness)
    files = identity.signed(
        model_files(subject.generator, discriminator, settings, dtype=torch.float16), settings
    )
    files |= {name: encode_png(pixels) for name, pixels in shown.items()}
    files |= {"README.md": card.encode(), "params.yaml": shareable(config).encode()}
    metrics = {name: measurement.as_dict() for name, measurement in measured.items()}
    return files | {"metrics.json": (json.dumps(metrics, indent=2) + "\n").encode()}


def rounded(network: Network) -> Network:
    """Copy a network with weights rounded to half precision; ValueError if one exceeds its range."""
    network = copy.deepcopy(network)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise ValueError(f"{name} has weights beyond half precision: they cannot be packed")
    return network


def _target(to: str, model: str) -> Path:
    if not to:
        raise ValueError("--to is missing: name a folder, such as --to models/mine")
    target = Path(to)
    if target.resolve() == Path(model).resolve():
        raise ValueError(
            f"--to {to}: this is the model itself, which would lose half of its bits: name another folder"
        )
    return target


def _require_own_configuration(subject: EvaluatedModel) -> None:
    """Refuse a configuration or data other than those of the model's training, which the card states."""
    given = fingerprint(subject.config, data_hash=subject.dataset.content_hash).partition("-")[0]
    trained = subject.described["made_from"]["fingerprint"].partition("-")[0]
    if given != trained:
        raise ValueError(
            f"{subject.config.paths.model} was trained with another configuration or on other data "
            f"({trained}, not {given}): give the experiment and options of its training"
        )


def _likeness(trained: Generator, subject: EvaluatedModel) -> float:
    """Minimum PSNR in dB between images before and after rounding."""
    rng = torch.Generator().manual_seed(subject.config.evaluate.seed)
    z = torch.randn(COMPARED, trained.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(COMPARED, generator=rng).to(subject.device)
    before, after = (model.render(z, poses, size=subject.size) for model in (trained, subject.generator))
    likeness = float(psnr(after.image, before.image).amin())
    if not likeness >= LIKENESS:
        raise ValueError(
            f"rounded weights render other images (PSNR {likeness:.1f} dB, less than {LIKENESS:.0f}): "
            f"publish {subject.config.paths.model} unchanged"
        )
    return likeness
