"""What every part of an evaluation is given, and what it gives back."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gram.data.reader import ImageDataset, SizeError
from gram.geometry.poses import PosePrior
from gram.model.generator import Generator
from pipeline.config.schema import Config
from pipeline.display.images import Pixels, blank
from pipeline.runtime import scene
from pipeline.tracking import identity


@dataclass(frozen=True, kw_only=True)
class EvaluatedModel:
    """A trained model and the pictures that it is measured against.

    Attributes:
        config: of the evaluation.
        generator: in evaluation mode, on `device`.
        described: the settings in the model's folder, see `gram.model.folder.load_settings`.
        dataset: what it was trained on, at the size that it draws.
        held_out: pictures of others, None where there are none.
        prior: where the cameras stand.
    """

    config: Config
    generator: Generator
    described: Mapping[str, Any]
    dataset: ImageDataset
    held_out: ImageDataset | None
    prior: PosePrior

    @classmethod
    def of(cls, config: Config, generator: Generator, described: Mapping[str, Any]) -> "EvaluatedModel":
        """With the pictures that the configuration names.

        Raises:
            ValueError: there are none of the size that the model draws, or they are others than the
                configuration's, or not those that were prepared.
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

    @property
    def size(self) -> int:
        """Pixels along one side of the model's pictures."""
        return self.dataset.size

    @property
    def device(self) -> torch.device:
        """Where the generator is."""
        return next(self.generator.parameters()).device


def _at_size(config: Config, path: str, size: int) -> ImageDataset:
    """A data set at the size that the model draws."""
    try:
        return ImageDataset(path, size=size)
    except SizeError as error:
        told = Path(config.paths.model) / "params.yaml"  # of models that were packed
        its_own = f"--params {shlex.quote(str(told))}" if told.is_file() else f"data.size={size}"
        beside = f"paths.train_data=data/{size}/train paths.test_data=data/{size}/test"
        raise ValueError(
            f"{config.paths.model} draws {size} x {size} pixels, and {path} holds pictures of "
            f"{error.there} x {error.there}: prepare some of its size with python -m pipeline.prepare "
            f"{its_own} {beside}, and give these arguments here, too"
        ) from None


@dataclass(frozen=True, kw_only=True)
class PartResult:
    """What one part found.

    Attributes:
        values: name to number; no number that was not measured.
        protocol: everything that has to be equal for two findings to be comparable, fit for JSON.
        pictures: file name without suffix to what a person has to see.
        skipped: why there are no values, in words; empty where there are.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    protocol: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Pixels] = field(default_factory=dict)
    skipped: str = ""

    @classmethod
    def skip(cls, why: str, *, pictures: Sequence[str] = ()) -> "PartResult":
        """Nothing was measured; promised pictures are blank, for DVC wants what a stage promises."""
        return cls(skipped=why, pictures=dict.fromkeys(pictures, blank()))

    @property
    def account(self) -> dict[str, Any]:
        """What protocol.json says of it."""
        return {"skipped": self.skipped} if self.skipped else dict(self.protocol)


Part = Callable[[EvaluatedModel], PartResult]
"""One part of an evaluation; it reads how much to do from `subject.config.evaluate`."""
