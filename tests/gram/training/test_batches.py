"""The draws of a step depend on (seed, step) and on nothing else."""

import pytest
import torch

from gram.training.batches import EpochSampler, step_generator


@pytest.mark.parametrize(("count", "batch_size"), [(10, 5), (10, 3), (7, 7), (3, 8), (1, 1), (1, 4)])
def test_every_item_comes_once_in_every_epoch(count: int, batch_size: int) -> None:
    sampler, epochs = EpochSampler(count, batch_size, seed=3), 6
    steps = -(-count * epochs // batch_size)
    batches = [sampler.indices(step) for step in range(steps)]
    assert all(len(batch) == batch_size for batch in batches)
    drawn = torch.cat(batches)[: count * epochs].view(epochs, count)
    assert torch.equal(drawn.sort(dim=1).values, torch.arange(count).expand(epochs, count))


def test_a_batch_is_a_function_of_the_step_alone() -> None:
    walked = EpochSampler(10, 4, seed=0)
    expected = [walked.indices(step).tolist() for step in range(20)]
    assert [EpochSampler(10, 4, seed=0).indices(step).tolist() for step in range(20)] == expected
    assert [walked.indices(step).tolist() for step in reversed(range(20))] == expected[::-1]


def test_epochs_and_seeds_differ() -> None:
    sampler = EpochSampler(50, 50, seed=0)
    orders = [
        sampler.indices(0),
        sampler.indices(1),
        EpochSampler(50, 50, seed=1).indices(0),
        torch.arange(50),
    ]
    for i, first in enumerate(orders):
        assert not any(torch.equal(first, second) for second in orders[i + 1 :])


def test_no_more_epochs_are_kept_than_a_batch_needs() -> None:
    sampler = EpochSampler(10, 3, seed=0)
    for step in range(100):
        sampler.indices(step)
        assert len(sampler._epochs) <= 2


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="an empty data set cannot be sampled"):
        EpochSampler(0, 4, seed=0)


def test_generators_repeat_for_the_same_step_and_differ_for_any_other() -> None:
    def draw(*key: int) -> tuple[float, ...]:
        return tuple(torch.rand(4, generator=step_generator(*key)).tolist())

    keys = [(seed, step, stream) for seed in range(4) for step in range(4) for stream in range(4)]
    drawn = {key: draw(*key) for key in keys}
    assert len(set(drawn.values())) == len(keys)
    assert all(draw(*key) == values for key, values in drawn.items())


def test_the_draws_of_a_step_are_the_same_in_every_version() -> None:
    assert step_generator(1, 2, 3).initial_seed() == 369936037315138467
