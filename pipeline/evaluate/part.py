"""Interface of the parts of an evaluation: the evaluated model as input, numbers and images as result."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gram.data.reader import ImageDataset, SizeError
from gram.geometry.poses import PosePrior
from gram.model.generator import Generator
from gram.ops.backend import use_backend
from pipeline.config.schema import Config
from pipeline.display.images import Pixels, blank
from pipeline.runtime import build, scene
from pipeline.tracking import identity


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """A trained model and the images that it is compared with.

    Attributes:
        config: configuration of the evaluation.
        generator: generator in evaluation mode, on `device`.
        described: settings from the model's folder, see `gram.model.folder.load_settings`.
        dataset: training data, at the model's resolution.
        held_out: held-out images at the same resolution; None without any.
        prior: prior of camera poses.
    """

    config: Config
    generator: Generator
    described: Mapping[str, Any]
    dataset: ImageDataset
    held_out: ImageDataset | None
    prior: PosePrior

    @classmethod
    def of(cls, config: Config, generator: Generator, described: Mapping[str, Any]) -> "EvaluatedModel":
        """Open the data sets that the configuration names.

        Raises:
            ValueError: a data set has no images of the model's resolution, was prepared with another
                configuration, or has changed since.
        """
        size = described["discriminator"]["size"]
        dataset = _at_size(config, config.paths.train_data, size)
        scene.require_prepared(config.paths.train_data, dataset.meta, config.data)
        test = Path(config.paths.test_data)
        held_out = _at_size(config, config.paths.test_data, size) if test.exists() else None
        if held_out is not None:
            scene.require_prepared(config.paths.test_data, held_out.meta, config.data, "test")
        for one in (dataset, held_out):
            if one is not None:
                one.require_intact()
        return cls(
            config=config,
            generator=generator,
            described=described,
            dataset=dataset,
            held_out=held_out,
            prior=scene.training_poses(config.data, dataset.meta),
        )

    @property
    def made_of(self) -> dict[str, str | None]:
        """Digests of the generator's folder and of both data sets."""
        return {
            "generator": identity.generator_digest(self.config.paths.model),
            "data": self.dataset.content_hash,
            "held_out": None if self.held_out is None else self.held_out.content_hash,
        }

    def untrained(self) -> Generator:
        """Build the generator as it was before training, on the same device and backend."""
        twin = build.untrained_twin(self.config.paths.model).to(self.device)
        use_backend(twin, self.generator.radiance.backend)
        return twin

    @property
    def size(self) -> int:
        """Side length of the model's images, pixels."""
        return self.dataset.size

    @property
    def device(self) -> torch.device:
        """Device of the generator."""
        return next(self.generator.parameters()).device


def _at_size(config: Config, path: str, size: int) -> ImageDataset:
    """Open a data set at the model's resolution."""
    try:
        return ImageDataset(path, size=size)
    except SizeError as error:
        packed = Path(config.paths.model) / "params.yaml"  # part of packed models
        options = f"--params {shlex.quote(str(packed))}" if packed.is_file() else f"data.size={size}"
        places = f"paths.train_data=data/{size}/train paths.test_data=data/{size}/test"
        raise ValueError(
            f"{config.paths.model} renders {size} x {size} pixels, but the images in {path} have "
            f"{error.stored} x {error.stored}: prepare images of its size with python -m pipeline.prepare "
            f"{options} {places}, and give these arguments here, too"
        ) from None


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """Result of one part.

    Attributes:
        values: numbers by name; measured ones only.
        protocol: all settings that must be equal for two results to be comparable, JSON values.
        images: figures by file name without suffix.
        skipped: reason why there are no values; empty if there are.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, Pixels] = field(default_factory=dict)
    skipped: str = ""

    @classmethod
    def skip(cls, why: str, *, images: Sequence[str] = ()) -> "PartResult":
        """Result without values, and with blank images, as DVC requires all outputs of a stage."""
        return cls(skipped=why, images=dict.fromkeys(images, blank()))

    @property
    def protocol_entry(self) -> dict[str, Any]:
        """Entry of this part in protocol.json."""
        return {"skipped": self.skipped} if self.skipped else dict(self.protocol)


Part = Callable[[EvaluatedModel], PartResult]
"""Function that computes one part of an evaluation; options are in `subject.config.evaluate`."""
