"""Search for the largest micro-batch and the fewest patches that fit into memory."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from gram.analysis.step_cost import Footprint

PROBES = (1, 2, 4)
"""Measured micro-batches; memory grows linearly with them."""
DOUBT = 0.95
"""Safety factor on the extrapolated peak memory of many patches."""
PATIENCE_SECONDS = 20.0
"""Seconds of a step above which two micro-batches are confirmed in place of the whole batch."""
COPIES_OF_BATCH = 3
"""Number of float32 copies of the batch, for any micro-batch: reals, fakes, and their concatenation."""


class Measurement(NamedTuple):
    """Settings with their measured footprint; None if they do not fit the machine."""

    patches: int
    micro_batch: int
    batch: int  # images of this process per update
    footprint: Footprint | None

    @property
    def seconds_per_image(self) -> float:
        """Seconds per image of one process."""
        assert self.footprint is not None, "only what fits has a time"
        return self.footprint.seconds / self.batch

    def fits(self, budget: float) -> bool:
        """True if the peak memory is within a budget in bytes."""
        return self.footprint is not None and self.footprint.peak_bytes <= budget


Measure = Callable[[int, int, int], Measurement]
"""Function of patches, micro-batch and batch."""


class TooLargeError(ValueError):
    """Budget that nothing fits; `leanest` is the smallest measured footprint, if any."""

    def __init__(self, leanest: Measurement | None) -> None:
        super().__init__("nothing fits")
        self.leanest = leanest


def search(measure: Measure, *, share: int, size: int, budget: float) -> Measurement:
    """Find the fewest patches and largest micro-batch for `share` images of `size` pixels in a budget."""
    leanest: Measurement | None = None
    for patches in _powers_of_two(size):  # the last patches are rows of pixels
        trials = list(_probe(measure, patches, share, budget))
        if trials[0].fits(budget):
            if best := _confirmed(measure, trials, share, size, budget):
                return best
        elif trials[0].footprint is not None:
            before, leanest = leanest, trials[0]
            # the part that patches divide halves each time: its limit is as far below as the last step
            if before is not None and DOUBT * (2 * _peak(leanest) - _peak(before)) > budget:
                break
    raise TooLargeError(leanest)


def micro_batches(share: int) -> list[int]:
    """Candidates in ascending order: powers of two that divide the share, and the share itself."""
    return sorted({*(power for power in _powers_of_two(share) if share % power == 0), share})


def predicted(trials: list[Measurement], micro_batch: int, *, share: int, size: int) -> float:
    """Predicted peak in bytes: base + micro_batch * per_image, plus the rest of the whole batch."""
    peaks = [_peak(trial) for trial in trials]
    batch = min(share, 2 * micro_batch)
    missing = (share - batch) * COPIES_OF_BATCH * 12 * size * size
    if len(trials) == 1:
        return peaks[0] * micro_batch / trials[0].micro_batch + missing
    per_image, base = np.polyfit([trial.micro_batch for trial in trials], peaks, 1)
    return float(base + per_image * micro_batch) + missing


def _probe(measure: Measure, patches: int, share: int, budget: float) -> Iterator[Measurement]:
    """Measure small micro-batches until one does not fit, which is only returned if it is the first."""
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
    """Largest micro-batch that is predicted and measured to fit, with the batch of training."""
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
