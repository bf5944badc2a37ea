"""`python -m pipeline.pack`: a trained model as a small folder to give away."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from gram.metrics import Measurement
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
Writes what others need to use a model, and to know what it is: weights in half precision, README.md with what
it was made from and how to make it again, pictures, metrics.json with the protocol of every number, and the
configuration. What is measured and drawn are the weights as they are given away. The folder replaces a model
that is there, whole or not at all.""",
    groups=("evaluate", "paths"),
    examples=(
        ("python -m pipeline.pack --to models/mine", "the model that was trained last"),
        (
            "python -m pipeline.pack experiment=heads64small model=runs/train/best --to models/heads64",
            "the best one",
        ),
    ),
    reads_model=True,
    flags=(
        Flag(name="to", value="FOLDER", meaning="where it is written"),
        Flag(
            name="note", value="TEXT", meaning="a line for its README.md, such as the machine and the hours"
        ),
    ),
)
LIKENESS = 35.0
"""Decibels between pictures before and after rounding, below which a model is not given away."""
COMPARED = 8
"""Pictures of that comparison."""

Network = TypeVar("Network", bound=nn.Module)


def run(config: Config, *, to: str = "", note: str = "") -> None:
    """Write the folder `to`.

    Raises:
        ValueError: there is something else in its place; the model or the data cannot be used, or are not
            those of the configuration; or half precision is too coarse for the weights.
        OSError: it cannot be written; what was there is intact.
    """
    target = _target(to, config.paths.model)
    reading = outputs.reading(Path(config.paths.train_data), STAGE.name)
    with reading, outputs.replacing(target, PACK) as aside:
        settings = build.described(config.paths.model, *ORIGIN)
        files = _files(config, target, settings, note)
        for name, content in files.items():
            write_file(aside / name, content)
    say(f"pack: {target}, {sum(map(len, files.values())) / 1e6:.1f} MB; README.md tells what it is")


def _files(config: Config, target: Path, settings: dict[str, Any], note: str) -> dict[str, bytes]:
    """Name to content of all that is given away."""
    trained = device.place(load_model(config.paths.model), config.train)
    discriminator = load_discriminator(config.paths.model)
    settings["made_from"]["run"] = None  # of a store that others do not have
    subject = EvaluatedModel.of(config, rounded(trained), settings)
    _require_own_configuration(subject)
    likeness = _likeness(trained, subject)
    measured = {name or "trained": m for name, m in distances.measure(subject).items()}
    if not measured:
        raise ValueError(
            f"{config.paths.train_data}: {distances.too_few(subject)}: a pack tells how good it is"
        )
    drawn = samples.draw(subject)
    shown = {"samples.png": drawn["samples"], "sweep.png": drawn["sweep"]}
    card = model_card(target, subject, measured, note=note, likeness=likeness)
    files = identity.signed(
        model_files(subject.generator, discriminator, settings, dtype=torch.float16), settings
    )
    files |= {name: encode_png(pixels) for name, pixels in shown.items()}
    files |= {"README.md": card.encode(), "params.yaml": shareable(config).encode()}
    files["metrics.json"] = _metrics(measured).encode()
    return files


def rounded(network: Network) -> Network:
    """A copy with the weights that half precision leaves.

    Raises:
        ValueError: a weight is beyond its range.
    """
    network = copy.deepcopy(network)
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())
            if not tensor.isfinite().all():
                raise ValueError(f"{name} has weights beyond half precision: they cannot be packed")
    return network


def _target(to: str, model: str) -> Path:
    if not to:
        raise ValueError("where to? Name a folder, such as --to models/mine")
    target = Path(to)
    if target.resolve() == Path(model).resolve():
        raise ValueError(
            f"--to {to}: the model itself is there, and would lose half of its bits: name another"
        )
    return target


def _require_own_configuration(subject: EvaluatedModel) -> None:
    """What is told about a model's training, and how to repeat it, has to be true."""
    asked = fingerprint(subject.config, data_hash=subject.dataset.content_hash).partition("-")[0]
    trained = subject.described["made_from"]["fingerprint"].partition("-")[0]
    if asked != trained:
        raise ValueError(
            f"{subject.config.paths.model} was trained with another configuration or on other data "
            f"({trained}, not {asked}): give the experiment and options of its training"
        )


def _likeness(trained: Generator, subject: EvaluatedModel) -> float:
    """Decibels between pictures before and after rounding, the least of some."""
    rng = torch.Generator().manual_seed(subject.config.evaluate.seed)
    z = torch.randn(COMPARED, trained.z_dim, generator=rng).to(subject.device)
    poses = subject.prior.sample(COMPARED, generator=rng).to(subject.device)
    before, after = (model.render(z, poses, size=subject.size) for model in (trained, subject.generator))
    likeness = float(psnr(after.image, before.image).amin())
    if not likeness >= LIKENESS:
        raise ValueError(
            f"rounded weights draw other pictures ({likeness:.1f} dB apart, less than {LIKENESS:.0f}): give "
            f"{subject.config.paths.model} away as it is"
        )
    return likeness


def _metrics(measured: Mapping[str, Measurement]) -> str:
    content: dict[str, Any] = {name: measurement.as_dict() for name, measurement in measured.items()}
    return json.dumps(content, indent=2) + "\n"
