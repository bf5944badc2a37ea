"""Data-parallel processes: each takes its share of every batch, and gradients are averaged once a step.

Every process holds all weights and makes the same updates. Networks are not wrapped: a step accumulates
gradients in any number of parts, and then averages them over the processes in one message.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Group of data-parallel processes; by default a single one.

    Attributes:
        rank: rank of this process, from 0.
        size: number of processes; more than one require torch's default process group.
        control: process group for small messages between CPUs; None is the default group.
    """

    rank: int = 0
    size: int = 1
    control: dist.ProcessGroup | None = None

    def share(self, count: int) -> slice:
        """Rows of this process in a batch that all processes draw alike.

        Raises:
            ValueError: `count` is no multiple of the number of processes.
        """
        if count % self.size:
            raise ValueError(
                f"a batch of {count} cannot be shared out evenly to {self.size} processes: "
                f"choose a multiple of {self.size}"
            )
        rows = count // self.size
        return slice(self.rank * rows, (self.rank + 1) * rows)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their means over the processes, in one message."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.size
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def average_numbers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Average numbers over the processes; all processes have the same names."""
        if self.size == 1:
            return dict(values)
        numbers = torch.tensor([values[name] for name in sorted(values)], dtype=torch.float64)
        dist.all_reduce(numbers, group=self.control)
        return dict(zip(sorted(values), (numbers / self.size).tolist(), strict=True))

    def largest(self, value: int) -> int:
        """Maximum over the processes."""
        if self.size == 1:
            return value
        number = torch.tensor(value)
        dist.all_reduce(number, dist.ReduceOp.MAX, group=self.control)
        return int(number)

    def largest_async(self, value: int) -> Callable[[], int]:
        """Start `largest`; the returned function gives its result, a step later without waiting."""
        if self.size == 1:
            return lambda: value
        number = torch.tensor(value)
        work = dist.all_reduce(number, dist.ReduceOp.MAX, group=self.control, async_op=True)

        def result() -> int:
            assert work is not None
            work.wait()
            return int(number)

        return result

    def from_first(self, tensors: dict[str, Tensor] | None, device: torch.device) -> dict[str, Tensor] | None:
        """Broadcast the tensors of process 0, which may be None, to all; the others pass None."""
        if self.size == 1:
            return tensors
        shapes = None if tensors is None else {k: (tuple(v.shape), v.dtype) for k, v in tensors.items()}
        box = [shapes]
        dist.broadcast_object_list(box, src=0, group=self.control)
        (shapes,) = box
        if shapes is None:
            return None
        received: dict[str, Tensor] = {}
        for name, (shape, dtype) in shapes.items():
            local = tensors[name] if tensors is not None else torch.zeros(shape, dtype=dtype)
            value = local.to(device).contiguous()
            dist.broadcast(value, src=0)
            received[name] = value
        return received


ALONE = Processes()
"""Single process without a process group."""
