"""The search for what fits, on machines whose memory follows a formula."""

import pytest

from gram.analysis.step_cost import Footprint
from pipeline.plan.search import Measurement, TooLargeError, micro_batches, predicted, search

SIZE = 64
IMAGE = 12 * SIZE * SIZE


class Machine:
    """Memory = base + micro_batch * (rest + activations / patches) + batch; nothing fits beyond `limit`."""

    def __init__(self, *, base: int, rest: int, activations: int, limit: float = float("inf")) -> None:
        self.base, self.rest, self.activations, self.limit = base, rest, activations, limit
        self.measured: list[tuple[int, int, int]] = []

    def bytes(self, patches: int, micro_batch: int, batch: int) -> int:
        return self.base + micro_batch * (self.rest + self.activations // patches) + 3 * batch * IMAGE

    def measure(self, patches: int, micro_batch: int, batch: int) -> Measurement:
        self.measured.append((patches, micro_batch, batch))
        peak = self.bytes(patches, micro_batch, batch)
        footprint = Footprint(peak, 0.01 * batch) if peak <= self.limit else None
        return Measurement(patches, micro_batch, batch, footprint)

    def best(self, share: int, budget: float) -> tuple[int, int] | None:
        """(patches, micro-batch) by trying everything."""
        for patches in (2**n for n in range(SIZE.bit_length())):
            for micro_batch in reversed(micro_batches(share)):
                if self.bytes(patches, micro_batch, share) <= min(budget, self.limit):
                    return patches, micro_batch
        return None


def small(limit: float = float("inf")) -> Machine:
    return Machine(base=300_000_000, rest=5_000_000, activations=100_000_000, limit=limit)


@pytest.mark.parametrize("share", [1, 2, 6, 12, 16])
@pytest.mark.parametrize("megabytes", [310, 320, 350, 410, 450, 520, 600, 1000, 4000])
def test_the_search_finds_what_trying_everything_finds(share: int, megabytes: int) -> None:
    machine = small()
    budget = megabytes * 1e6
    expected = machine.best(share, budget)
    if expected is None:
        with pytest.raises(TooLargeError):
            search(machine.measure, share=share, size=SIZE, budget=budget)
        return
    best = search(machine.measure, share=share, size=SIZE, budget=budget)
    assert (best.patches, best.micro_batch) == expected
    assert best.batch == share
    assert best.fits(budget)
    assert len(machine.measured) <= 5 + best.patches.bit_length()


def test_what_does_not_fit_the_machine_is_survived() -> None:
    machine = small(limit=345e6)
    best = search(machine.measure, share=8, size=SIZE, budget=500e6)
    assert (best.patches, best.micro_batch) == machine.best(8, 500e6)
    assert best.patches > 1


def test_patches_that_bring_nothing_end_the_search() -> None:
    machine = Machine(base=1_000_000_000, rest=100_000_000, activations=1_000_000)
    with pytest.raises(TooLargeError) as caught:
        search(machine.measure, share=4, size=SIZE, budget=5e8)
    assert caught.value.leanest == machine.measure(2, 1, 2)
    assert [patches for patches, _, _ in machine.measured[:-1]] == [1, 2]


def test_a_slow_machine_confirms_with_two_micro_batches() -> None:
    machine = small()

    def slow(patches: int, micro_batch: int, batch: int) -> Measurement:
        trial = machine.measure(patches, micro_batch, batch)
        assert trial.footprint is not None
        return trial._replace(footprint=Footprint(trial.footprint.peak_bytes, 10.0 * batch))

    best = search(slow, share=64, size=SIZE, budget=600e6)
    assert (best.micro_batch, best.batch) == (2, 4)
    assert max(batch for _, _, batch in machine.measured) <= 8


def test_memory_is_predicted_from_small_micro_batches() -> None:
    machine = small()
    trials = [machine.measure(1, micro_batch, 2 * micro_batch) for micro_batch in (1, 2, 4)]
    for micro_batch in (8, 16, 32):
        expected = machine.bytes(1, micro_batch, 64)
        assert predicted(trials, micro_batch, share=64, size=SIZE) == pytest.approx(expected, rel=1e-6)


def test_micro_batches_are_powers_of_two_and_the_whole_share() -> None:
    assert micro_batches(1) == [1]
    assert micro_batches(8) == [1, 2, 4, 8]
    assert micro_batches(12) == [1, 2, 4, 12]
