"""Metrics and gradients accumulated over CPU cores and micro-batches."""

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from gram.system.threads import map_on_cores, split_evenly

Metrics = dict[str, Tensor]
"""Scalars by name, means over rows of a batch."""
Work = Callable[[slice], tuple[Metrics, list[Tensor]]]
"""Function of rows of a batch that returns metrics and tensors, means over these rows."""


def map_rows(
    work: Work, rows: range, device: torch.device
) -> tuple[Metrics, list[list[Tensor]], list[float]]:
    """Apply `work` to rows of a batch, split over the cores if `device` is a CPU.

    Returns:
        Mean metrics; tensors of each part, in order of the rows; fraction of the rows in each part.
    """
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    parts = [slice(part[0], part[-1] + 1) for part in split_evenly(rows, cores)]
    results = map_on_cores(work, parts)
    fractions = [(part.stop - part.start) / len(rows) for part in parts]
    metrics = mean_metrics([metrics for metrics, _ in results], fractions)
    return metrics, [tensors for _, tensors in results], fractions


def average_over_batch(
    work: Work, count: int, micro_batch: int, device: torch.device
) -> tuple[Metrics, list[Tensor]]:
    """Average the results of `work` over a batch, a micro-batch at a time.

    Args:
        work: returns means over its rows.
        count: rows of the batch.
        micro_batch: rows at a time; 0 is all.
        device: device of the computation.
    """
    sizes: list[int] = []
    metrics: list[Metrics] = []
    totals: list[Tensor] = []
    for start in range(0, count, micro_batch or count):
        rows = range(start, min(start + (micro_batch or count), count))
        means, parts, fractions = map_rows(work, rows, device)
        tensors = [mean(part, fractions) for part in zip(*parts, strict=True)]
        if len(rows) == count:
            return means, tensors
        # In-place accumulation: memory for the tensors of one micro-batch.
        scaled = [tensor.mul_(len(rows) / count) for tensor in tensors]
        totals = [total.add_(t) for total, t in zip(totals, scaled, strict=True)] if totals else scaled
        metrics.append(means)
        sizes.append(len(rows))
    return mean_metrics(metrics, [size / count for size in sizes]), totals


def mean_metrics(metrics: Sequence[Metrics], weights: Sequence[float]) -> Metrics:
    """Weighted means of metrics with the same names."""
    return {name: mean((part[name] for part in metrics), weights) for name in metrics[0]}


def mean(values: Iterable[Tensor], weights: Sequence[float]) -> Tensor:
    """Weighted mean of tensors of one shape, detached; weights sum to 1."""
    return torch.stack([weight * v.detach() for weight, v in zip(weights, values, strict=True)]).sum(0)


def with_layout_of(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Gradient in the memory layout of its parameter, as fused Adam needs on a GPU."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
