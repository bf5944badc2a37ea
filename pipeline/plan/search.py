"""The search for the largest micro-batch and the fewest patches that fit into a memory."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gram.analysis.step_cost import Footprint

PROBES = (1, 2, 4)
"""Micro-batches that are measured; memory grows linearly with them."""
DOUBT = 0.95
"""Part of what is foretold of ever more patches that is believed."""
PATIENCE_SECONDS = 20.0
"""A step that takes longer is confirmed with two micro-batches in place of the whole batch."""
COPIES_OF_BATCH = 3
"""Reals, fakes, and their parts while they are joined: kept in float32, whatever the micro-batch."""


class Measurement(NamedTuple):
    """Settings, and what training takes with them; None where it does not fit the machine."""

    patches: int
    micro_batch: int
    batch: int  # pictures of this process in an update
    footprint: Footprint | None

    @property
    def seconds_per_image(self) -> float:
        """Of one process."""
        assert self.footprint is not None, "only what fits has a time"
        return self.footprint.seconds / self.batch

    def fits(self, budget: float) -> bool:
        """Whether it stays within a memory, bytes."""
        return self.footprint is not None and self.footprint.peak_bytes <= budget


Measure = Callable[[int, int, int], Measurement]
"""Of patches, micro-batch and batch."""


class TooLargeError(ValueError):
    """Nothing fits; `leanest` is the smallest that was measured, if anything could be."""

    def __init__(self, leanest: Measurement | None) -> None:
        super().__init__("nothing fits")
        self.leanest = leanest


def search(measure: Measure, *, share: int, size: int, budget: float) -> Measurement:
    """The settings to train with, confirmed by a measurement.

    Args:
        measure: takes the training steps.
        share: pictures of each process in an update.
        size: pixels along one side.
        budget: bytes.

    Raises:
        TooLargeError: one picture at a time is too much, however many patches it is cut into.
    """
    leanest: Measurement | None = None
    for patches in _powers_of_two(size):  # at the end, a patch is a row of pixels
        trials = list(_probe(measure, patches, share, budget))
        if trials[0].fits(budget):
            if best := _confirmed(measure, trials, share, size, budget):
                return best
        elif trials[0].footprint is not None:
            before, leanest = leanest, trials[0]
            # What patches divide halves each time; what is left in the end is as far below as the last step.
            if before is not None and DOUBT * (2 * _peak(leanest) - _peak(before)) > budget:
                break
    raise TooLargeError(leanest)


def micro_batches(share: int) -> list[int]:
    """Those to choose from: powers of two that divide the share, and the share itself, upwards."""
    return sorted({*(power for power in _powers_of_two(share) if share % power == 0), share})


def predicted(trials: list[Measurement], micro_batch: int, *, share: int, size: int) -> float:
    """Bytes at a micro-batch: base + micro_batch * per_image, and what the whole batch takes on top."""
    peaks = [_peak(trial) for trial in trials]
    batch = min(share, 2 * micro_batch)
    missing = (share - batch) * COPIES_OF_BATCH * 12 * size * size
    if len(trials) == 1:
        return peaks[0] * micro_batch / trials[0].micro_batch + missing
    per_image, base = np.polyfit([trial.micro_batch for trial in trials], peaks, 1)
    return float(base + per_image * micro_batch) + missing


def _probe(measure: Measure, patches: int, share: int, budget: float) -> Iterator[Measurement]:
    """Small micro-batches, until one does not fit (which is only told where it is the first)."""
    for micro_batch in PROBES:
        if micro_batch in micro_batches(share):
            trial = measure(patches, micro_batch, min(share, 2 * micro_batch))
            if micro_batch == 1 or trial.fits(budget):
                yield trial
            if not trial.fits(budget):
                return


def _confirmed(
    measure: Measure, trials: list[Measurement], share: int, size: int, budget: float
) -> Measurement | None:
    """The largest micro-batch that should fit and does, measured with the batch that it is for."""
    for micro_batch in reversed(micro_batches(share)):
        if predicted(trials, micro_batch, share=share, size=size) > budget:
            continue
        patient = share * trials[-1].seconds_per_image <= PATIENCE_SECONDS
        batch = share if patient else min(share, 2 * micro_batch)
        known = (trial for trial in trials if (trial.micro_batch, trial.batch) == (micro_batch, batch))
        trial = next(known, None) or measure(trials[0].patches, micro_batch, batch)
        if trial.fits(budget):
            return trial
    return None


def _peak(trial: Measurement) -> int:
    assert trial.footprint is not None, "only what fits is compared"
    return trial.footprint.peak_bytes


def _powers_of_two(largest: int) -> Iterator[int]:
    power = 1
    while power <= largest:
        yield power
        power *= 2
