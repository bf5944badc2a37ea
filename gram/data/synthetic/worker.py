"""Images of one procedural identity, rendered in worker processes of `gram.data.synthetic.generate`.

This module does not import Torch, so that workers start quickly.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gram.data.synthetic.raycaster import Mesh, ShadedMesh, render, render_depth

Kind = Literal["heads", "cars"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """Identity and camera poses to render."""

    identity: int
    seed: tuple[int, ...]
    poses: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class RenderedIdentity:
    """Rendered images of one identity."""

    identity: int
    poses: tuple[tuple[float, float], ...]
    images: list[NDArray[np.uint8]]
    depths: list[NDArray[np.float16]] | None
    mesh: Mesh | None


def make_subject(kind: Kind, seed: int | tuple[int, ...]) -> ShadedMesh:
    """Build the head or car of a seed, in world coordinates."""
    if kind == "heads":
        from gram.data.synthetic.heads.head import make_head

        return make_head(seed)
    if kind == "cars":
        from gram.data.synthetic.cars.car import make_car

        return make_car(seed)
    raise ValueError(f"kind is {kind!r}; choose 'heads' or 'cars'")


def render_identity(
    kind: Kind, job: Job, *, size: int, fov: float, supersampling: int, exact: bool
) -> RenderedIdentity:
    """Render one identity from all its poses; `exact` adds depth and the mesh."""
    subject = make_subject(kind, job.seed)
    settings = {"size": size, "fov": fov}
    return RenderedIdentity(
        identity=job.identity,
        poses=job.poses,
        images=[render(subject, pose=pose, supersampling=supersampling, **settings) for pose in job.poses],
        depths=[render_depth(subject.mesh, pose=pose, **settings) for pose in job.poses] if exact else None,
        mesh=subject.mesh if exact else None,
    )


def ignore_interrupts() -> None:
    """Ignore SIGINT in a worker: the parent handles Ctrl-C and ends the pool without tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
