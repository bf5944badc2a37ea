"""Real processes that talk to each other."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from gram.training.distributed import ALONE, Processes


def in_group(work, rank: int, size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=size)
    try:
        work(Processes(rank=rank, size=size))
    finally:
        dist.destroy_process_group()


def everywhere(work, folder: Path, size: int = 2) -> None:
    """Run `work(processes)` in `size` processes; its assertions fail the test."""
    context = spawn(_start, args=(work, size, str(folder)), nprocs=size)
    assert context is None


def _start(rank: int, work, size: int, folder: str) -> None:
    in_group(work, rank, size, folder)


def averages(processes: Processes) -> None:
    mine = float(processes.rank + 1)
    tensors = [torch.full((2, 3), mine), torch.tensor(10.0 * mine), torch.full((3, 2), mine).T]
    processes.average(tensors)
    assert torch.equal(tensors[0], torch.full((2, 3), 1.5))
    assert torch.equal(tensors[1], torch.tensor(15.0))
    assert torch.equal(tensors[2], torch.full((2, 3), 1.5))
    assert processes.average_numbers({"b": mine, "a": 2 * mine}) == {"a": 3.0, "b": 1.5}


def agreement(processes: Processes) -> None:
    assert processes.largest(3 + processes.rank) == 4
    assert processes.largest(-processes.rank) == 0
    asked = [processes.largest_async(10 * step + processes.rank) for step in range(3)]
    assert [answer() for answer in asked] == [1, 11, 21]


def handing_out(processes: Processes) -> None:
    device = torch.device("cpu")
    values = {"a": torch.arange(6.0).view(2, 3).T, "step": torch.tensor(7), "flag": torch.tensor([True])}
    received = processes.from_first(values if processes.rank == 0 else None, device)
    assert received is not None
    assert received.keys() == values.keys()
    for name, value in values.items():
        assert torch.equal(received[name], value)
        assert received[name].dtype == value.dtype
    assert processes.from_first(None, device) is None


@pytest.mark.parametrize("work", [averages, agreement, handing_out])
def test_processes_agree(work, tmp_path: Path) -> None:
    everywhere(work, tmp_path)


def test_shares_are_disjoint_and_cover_the_batch() -> None:
    rows = [list(range(12))[Processes(rank=rank, size=3).share(12)] for rank in range(3)]
    assert rows == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 10 cannot be shared out evenly to 4 processes"):
        Processes(rank=0, size=4).share(10)


def test_alone_everything_is_as_it_was() -> None:
    tensor = torch.tensor(3.0)
    ALONE.average([tensor])
    assert tensor == 3.0
    assert ALONE.share(5) == slice(0, 5)
    assert ALONE.largest(4) == 4
    assert ALONE.largest_async(4)() == 4
    assert ALONE.average_numbers({"a": 1.0}) == {"a": 1.0}
    assert ALONE.from_first({"a": tensor}, torch.device("cpu")) == {"a": tensor}
