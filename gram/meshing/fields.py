"""Sampling of scalar fields on a lattice, and choice of the level of a surface."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy import ndarray
from torch import Tensor

from gram.shapes import Float, Float32

Field = Callable[[Float[Tensor, "num 3"]], Float[Tensor, " num"]]
Bounds = Sequence[Sequence[float]] | ndarray | Tensor


@dataclass(frozen=True, kw_only=True)
class Lattice:
    """Lattice of points of a box, including its sides.

    Attributes:
        origin: lower corner of the box.
        spacing: distance between neighbours along x, y, z.
        shape: number of points along x, y, z.
    """

    origin: Float[ndarray, " 3"]
    spacing: Float[ndarray, " 3"]
    shape: tuple[int, int, int]

    @staticmethod
    def over(bounds: Bounds, *, resolution: int) -> "Lattice":
        """Build a lattice of nearly cubic cells with `resolution` points along the longest side.

        Raises:
            ValueError: the bounds are not three (low, high) with low < high, or the resolution is below 2.
        """
        box = np.asarray(bounds, dtype=np.float64)
        if box.shape != (3, 2) or not np.isfinite(box).all() or (box[:, 0] >= box[:, 1]).any():
            raise ValueError(
                f"bounds have to be (low, high) of x, y and z with low < high; given {box.tolist()}."
            )
        if resolution < 2:
            raise ValueError(f"A surface needs at least 2 points along the longest side; given {resolution}.")
        sides = box[:, 1] - box[:, 0]
        counts = np.maximum(np.rint(sides / sides.max() * (resolution - 1)).astype(int), 1) + 1
        return Lattice(origin=box[:, 0], spacing=sides / (counts - 1), shape=tuple(counts.tolist()))

    def points(self, start: int, stop: int) -> Float32[Tensor, "num 3"]:
        """Points start to stop - 1, with z varying fastest."""
        indices = np.stack(np.unravel_index(np.arange(start, stop), self.shape), axis=-1)
        return torch.from_numpy((self.origin + indices * self.spacing).astype(np.float32))


@torch.no_grad()
def sample_field(
    field: Field,
    lattice: Lattice,
    *,
    chunk: int = 2**17,
    progress: Callable[[int, int], None] | None = None,
) -> Float[ndarray, "x y z"]:
    """Evaluate a field on a lattice, in float64.

    Args:
        field: function of world points.
        lattice: points of evaluation.
        chunk: points evaluated at once, bounds memory.
        progress: called with (points done, points in total) after every chunk.

    Raises:
        ValueError: the number of values differs from that of points, or a value is not finite.
    """
    total = int(np.prod(lattice.shape))
    values = np.zeros(total)
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        part = field(lattice.points(start, stop))
        if part.shape != (stop - start,):
            raise ValueError(
                f"The field gave shape {tuple(part.shape)} for {stop - start} points; one value each."
            )
        values[start:stop] = part.double().cpu().numpy()
        if progress is not None:
            progress(stop, total)
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"The field is not finite at {bad} of {total} points; check the model behind it.")
    return values.reshape(lattice.shape)


def choose_level(values: Float[ndarray, "x y z"]) -> float:
    """Mean of the smallest and the largest value.

    For accumulated opacity this is the median depth, or half of the maximum if nothing is opaque, as in a
    barely trained model.

    Raises:
        ValueError: all values are equal.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise ValueError(
            f"The field is {low:g} everywhere in the box: there is no surface. Is the model trained?"
        )
    return (low + high) / 2


def check_level(values: Float[ndarray, "x y z"], level: float) -> None:
    """Raise a ValueError that names the field's range if no surface lies at `level`."""
    low, high = float(values.min()), float(values.max())
    if not low < level < high:
        raise ValueError(
            f"The level {level:g} is outside the field's range in the box, {low:g} to {high:g}: there is no "
            "surface. Give a level inside the range, or None to have it chosen."
        )
