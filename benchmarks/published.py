"""The published model of faces and its training, for timing: random weights and random images."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_discriminator, build_generator
from gram.training.fakes import Fakes
from gram.training.precision import Precision
from gram.training.state import TrainingSettings, TrainingState
from gram.training.step import Reals, fit

PIXELS_AT_ONCE = 256**2
"""A micro-batch of smaller images has as many pixels as one image of 256 x 256."""
REALS = 64


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is trained, and how.

    Attributes:
        size: pixels along one side.
        batch: images a step.
        width: of the radiance field; the manifold predictor has half of it.
        micro_batch: images at a time; 0 chooses as many as have the pixels of one of 256 x 256.
        patches: parts of an image that are back-propagated in turn.
        recompute: keep no activations of the radiance field.
        precision: of matrix products.
        channels_last: memory layout of the discriminator.
        num_samples: points of the search for intersections; a number other than 64 changes the function.
        mode: how intersections are found; `refined` changes the function.
        r1_every: steps between R1 terms; more than one changes the algorithm.
    """

    size: int
    batch: int
    width: int = 256
    micro_batch: int = 0
    patches: int = 1
    recompute: bool = False
    precision: Precision = "no"
    channels_last: bool = False
    num_samples: int = 64
    mode: str = "linear"
    r1_every: int = 1

    @property
    def at_once(self) -> int:
        """Images whose activations are kept together."""
        return min(self.batch, self.micro_batch or max(1, PIXELS_AT_ONCE // self.size**2))

    def training(self) -> TrainingSettings:
        """As published, but for what this case says."""
        return TrainingSettings(
            batch_size=self.batch, micro_batch=self.at_once, patches=self.patches, precision=self.precision,
            r1_every=self.r1_every, lr_generator=2e-5, lr_discriminator=2e-4, lr_manifold=2e-5,
        )  # fmt: skip

    def model(self) -> dict[str, Any]:
        """Settings of the networks: 23 isosurfaces and the background plane."""
        return {
            "generator": {"fov": math.radians(12), "z_dim": 256, "mapping_width": 256, "mapping_layers": 3},
            "radiance": {"width": self.width, "layers": 8, "view_dependent": True, "box": 0.24}
            | {"recompute": self.recompute},
            "manifold": {"width": self.width // 2, "hidden_layers": 3, "centre": [0.0, 0.0, -1.5]},
            "sampler": {"kind": "manifold", "levels": 23, "first_level": 23.0, "last_level": 8.0}
            | {"near": 0.88, "far": 1.12, "num_samples": self.num_samples, "delta": 0.04, "mode": self.mode},
            "discriminator": {"size": self.size, "width": self.width / 256},
        }


class Training:
    """A training run of a case, ready to step."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.case, self.settings, self.device = case, case.training(), device
        torch.manual_seed(0)
        model = case.model()
        discriminator = build_discriminator(model).to(device)
        discriminator.channels_last = case.channels_last
        self.state = TrainingState(build_generator(model).to(device), discriminator, self.settings)
        self.prior = GaussianPoses()
        shape = (REALS, 3, case.size, case.size)
        self.reals = Reals(
            images=torch.randint(0, 256, shape, dtype=torch.uint8).to(device),
            poses=self.prior.sample(REALS).to(device),
        )

    def stepper(self) -> Callable[[], object]:
        """Takes as many full steps as it takes until R1 was due once."""
        steps = fit(self.state, self.reals, self.prior, self.settings, steps=2**31)
        return lambda: [next(steps) for _ in range(self.case.r1_every)]

    def fakes(self, count: int) -> Fakes:
        """Images that are not yet drawn."""
        return Fakes(
            self.state.generator,
            torch.randn(count, self.state.generator.z_dim).to(self.device),
            self.prior.sample(count).to(self.device),
            size=self.case.size,
            micro_batch=self.case.at_once,
            patches=self.case.patches,
        )
