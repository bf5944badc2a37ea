"""Parallel work in threads, each on one core."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


def map_on_cores(work: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """Apply `work` to every part, in as many threads as torch may use, each part on one core.

    This is faster than splitting every operation: threads synchronise once, not after each operation, also
    beside other processes.
    """
    threads = min(torch.get_num_threads(), len(parts))
    if threads <= 1:
        return [work(part) for part in parts]
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, parts))
    finally:
        torch.set_num_threads(before)  # a worker's setting is partly global


def split_evenly(items: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """Split items into at most `count` contiguous, non-empty parts of about the same length."""
    count = max(1, min(count, len(items)))
    bounds = [len(items) * i // count for i in range(count + 1)]
    return [items[a:b] for a, b in pairwise(bounds)]
