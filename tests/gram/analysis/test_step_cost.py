"""Memory at its worst and time on average of a training step."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gram.analysis import step_cost
from gram.analysis.step_cost import measure
from gram.geometry.poses import GaussianPoses
from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator
from gram.training.state import TrainingSettings, TrainingState

ROOT = Path(__file__).parents[3]
MIB = 2**20


def settings(**values: Any) -> TrainingSettings:
    rates = {"lr_generator": 1e-3, "lr_discriminator": 1e-3, "lr_manifold": 1e-4}
    return TrainingSettings(batch_size=4, **rates, **values)


@pytest.mark.parametrize(
    ("r1_every", "manifold_every", "kinds"),
    [
        (1, 1, {0: 1.0}),
        (4, 1, {0: 0.25, 1: 0.75}),
        (2, 4, {0: 0.25, 1: 0.5, 2: 0.25}),
        (2, 3, {0: 1 / 6, 1: 1 / 3, 2: 1 / 3, 3: 1 / 6}),
    ],
)
def test_every_kind_of_step_counts_as_often_as_it_happens(
    r1_every: int, manifold_every: int, kinds: dict[int, float]
) -> None:
    found = step_cost.step_kinds(settings(r1_every=r1_every, manifold_every=manifold_every))
    assert found == pytest.approx(kinds)
    assert math.isclose(sum(found.values()), 1.0)


PEAKS = """
import torch
from gram.analysis.step_cost import reset_peak, peak_bytes

cpu = torch.device("cpu")
reset_peak(cpu)
print(peak_bytes(cpu))
torch.ones(200 * 2**20, dtype=torch.uint8)
print(peak_bytes(cpu))
reset_peak(cpu)
print(peak_bytes(cpu))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks can be forgotten on Linux alone")
def test_a_peak_is_what_was_used_since_it_was_forgotten() -> None:
    command = [sys.executable, "-c", PEAKS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, held, after = (int(line) / MIB for line in done.stdout.split())
    assert held - before == pytest.approx(200, abs=10)
    assert after == pytest.approx(before, abs=10)


@pytest.mark.parametrize(("micro_batch", "patches"), [(0, 1), (1, 4)])
def test_training_is_measured_as_it_is(
    micro_batch: int, patches: int, generator: Generator, discriminator: Discriminator
) -> None:
    chosen = settings(r1_every=2, micro_batch=micro_batch, patches=patches)
    state = TrainingState(generator, discriminator, chosen)
    before = [parameter.clone() for parameter in discriminator.parameters()]
    found = measure(state, GaussianPoses(), chosen, size=8)
    assert found.peak_bytes > 50 * MIB  # the process as a whole
    assert 0.0 < found.seconds < 60.0
    moved = [bool((a != b).any()) for a, b in zip(before, discriminator.parameters(), strict=True)]
    assert all(moved)
