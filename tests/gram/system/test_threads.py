"""Work shared between threads comes back whole, in order, and leaves torch as it was."""

import threading
from collections.abc import Iterator

import pytest
import torch

from gram.system.threads import map_on_cores, split_evenly


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_parts_are_contiguous_non_empty_and_even(length: int, count: int) -> None:
    items = list(range(length))
    parts = split_evenly(items, count)
    sizes = [len(part) for part in parts]
    assert [item for part in parts for item in part] == items
    assert len(parts) == min(count, length)
    assert max(sizes) - min(sizes) <= 1


def test_nothing_is_one_empty_part() -> None:
    assert split_evenly([], 4) == [[]]


@pytest.mark.parametrize("parts", [0, 1, 2, 3, 20])
def test_results_are_in_the_order_of_the_parts(three_threads: None, parts: int) -> None:
    assert map_on_cores(lambda x: x * x, list(range(parts))) == [x * x for x in range(parts)]


def test_each_worker_has_one_core_and_the_caller_keeps_its_own(three_threads: None) -> None:
    barrier = threading.Barrier(3, timeout=20)  # passes only when three workers run at once

    def work(_part: int) -> tuple[int, str]:
        barrier.wait()
        return torch.get_num_threads(), threading.current_thread().name

    results = map_on_cores(work, [0, 1, 2])
    assert [threads for threads, _ in results] == [1, 1, 1]
    assert len({name for _, name in results}) == 3
    assert torch.get_num_threads() == 3


def test_one_thread_works_in_the_callers() -> None:
    assert torch.get_num_threads() == 1
    names = map_on_cores(lambda _: threading.current_thread().name, [0, 1, 2])
    assert set(names) == {threading.current_thread().name}


def test_an_error_reaches_the_caller_and_leaves_the_threads_as_they_were(three_threads: None) -> None:
    def work(part: int) -> int:
        if part == 1:
            raise ArithmeticError("part one")
        return part

    with pytest.raises(ArithmeticError, match="part one"):
        map_on_cores(work, [0, 1, 2])
    assert torch.get_num_threads() == 3
