"""Linear head model: a bust mesh and displacements (shape targets) that vary it.

Positions are in decimetres in the frame of the source mesh: right-handed, y up, face towards +z, feet far
below. The *canonical* position of a vertex is that on the mean head. Everything painted on a head (brows,
hairline, collar) is a function of canonical positions and thus follows the features of each person.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

SKIN, LEFT_EYE, RIGHT_EYE, LASHES, TEETH = range(5)
"""Part numbers in `HeadBasis.part`."""


@dataclass(frozen=True, kw_only=True)
class HeadBasis:
    """Bust mesh with shape targets and vertex masks: N vertices, T triangles, K targets."""

    base: NDArray[np.float64]
    """(N, 3) rest positions, no human face without race and weight targets."""
    canonical: NDArray[np.float64]
    """(N, 3) positions on the mean head."""
    triangles: NDArray[np.int64]
    """(T, 3) counter-clockwise seen from outside."""
    part: NDArray[np.uint8]
    """(N,) part numbers."""
    lips: NDArray[np.float64]
    eyelids: NDArray[np.float64]
    ears: NDArray[np.float64]
    mouth: NDArray[np.float64]
    """(N,) masks in [0, 1]; `mouth` is the inside of the mouth."""
    openness: NDArray[np.float64]
    """(N,) fraction of the sky visible from a vertex of the mean head, in [0, 1]."""
    names: tuple[str, ...]
    """Names of the targets, 'group/name' with group face, race, weight or expression."""
    targets: csr_array
    """(3 N, K) displacements: column k is that of every coordinate by target k."""

    def shape(self, weights: dict[str, float]) -> NDArray[np.float64]:
        """Vertices (N, 3) with the weighted targets added.

        The sum has a fixed order in float64, so weights give the same bytes on every machine.
        """
        unknown = sorted(set(weights) - set(self.names))
        if unknown:
            raise ValueError(f"there is no shape target {unknown[0]!r}; the names are in HeadBasis.names")
        column = np.array([weights.get(name, 0.0) for name in self.names])
        return self.base + (self.targets @ column).reshape(-1, 3)


@lru_cache(maxsize=1)
def load_basis() -> HeadBasis:
    """Load the basis that ships with the package (built by scripts/build_head_basis.py)."""
    with (files("gram.data.synthetic.heads") / "basis.npz").open("rb") as file, np.load(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    # quantised displacements
    packed = np.ascontiguousarray(arrays["target_deltas"].transpose(1, 2, 0))
    deltas = packed.view("<i2")[..., 0].T * float(arrays["target_step"])
    # sparse matrix of targets
    rows = 3 * arrays["target_indices"].astype(np.int64)[:, None] + np.arange(3)
    columns = np.repeat(np.arange(len(arrays["target_names"])), np.diff(arrays["target_starts"]))
    entries = (deltas.ravel(), (rows.ravel(), np.repeat(columns, 3)))
    masks = arrays["masks"] / 255.0
    basis = HeadBasis(
        base=arrays["vertices"].astype(np.float64),
        canonical=np.zeros((0, 3)),
        triangles=arrays["triangles"].astype(np.int64),
        part=arrays["part"],
        lips=masks[:, 0],
        eyelids=masks[:, 1],
        ears=masks[:, 2],
        mouth=masks[:, 3],
        openness=arrays["openness"] / 255.0,
        names=tuple(str(name) for name in arrays["target_names"]),
        targets=csr_array(entries, shape=(arrays["vertices"].size, len(arrays["target_names"]))),
    )
    mean_weights = dict(zip(basis.names, arrays["mean_weights"].astype(np.float64).tolist(), strict=True))
    object.__setattr__(basis, "canonical", basis.shape(mean_weights))
    return basis
