"""Sampling a scalar field on a box, and where its surface lies."""

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
    """Points of a box: the first and last along each axis lie on its sides.

    Attributes:
        origin: Smallest corner of the box.
        spacing: Distance of neighbours along x, y, z.
        shape: Number of points along x, y, z.
    """

    origin: Float[ndarray, " 3"]
    spacing: Float[ndarray, " 3"]
    shape: tuple[int, int, int]

    @staticmethod
    def over(bounds: Bounds, *, resolution: int) -> "Lattice":
        """`resolution` points along the longest side of the box and as many on the others as keep cells
        cubic.

        Raises:
            ValueError: If the bounds are not three (low, high) with low < high, or the resolution is below 2.
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
        """Points start..stop-1, z varying fastest."""
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
    """Values of a field on a lattice, in float64.

    Args:
        field: Maps world points to values.
        lattice: Where.
        chunk: Points handed to the field at once; bounds the memory.
        progress: Called with (points done, points in total) after every chunk.

    Raises:
        ValueError: If the field gives another number of values than points, or any that is not finite.
    """
    total = int(np.prod(lattice.shape))
    values = np.zeros(total)
    for start in range(0, total, chunk):
        stop = min(start + chunk, total)
        found = field(lattice.points(start, stop))
        if found.shape != (stop - start,):
            raise ValueError(
                f"The field gave shape {tuple(found.shape)} for {stop - start} points; one value each."
            )
        values[start:stop] = found.double().cpu().numpy()
        if progress is not None:
            progress(stop, total)
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(f"The field is not finite at {bad} of {total} points; check the model behind it.")
    return values.reshape(lattice.shape)


def choose_level(values: Float[ndarray, "x y z"]) -> float:
    """Half-way between the smallest and the largest value.

    Of the opacity that a camera accumulates this is the median depth; where nothing is opaque, as in a
    model that was hardly trained, it is half of the most there is.

    Raises:
        ValueError: If all values are equal.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise ValueError(
            f"The field is {low:g} everywhere in the box: there is no surface. Is the model trained?"
        )
    return (low + high) / 2


def check_level(values: Float[ndarray, "x y z"], level: float) -> None:
    """Raises a ValueError that names the field's range if no surface lies at `level`."""
    low, high = float(values.min()), float(values.max())
    if not low < level < high:
        raise ValueError(
            f"The level {level:g} is outside the field's range in the box, {low:g} to {high:g}: there is no "
            "surface. Give a level inside the range, or None to have it chosen."
        )
