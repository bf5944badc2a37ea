"""Pictures of one procedural identity: what a worker process of `gram.data.synthetic.generate` does.

It imports no Torch, so that workers start quickly.
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
    """One identity and the poses to show it from."""

    identity: int
    seed: tuple[int, ...]
    poses: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The finished pictures of one identity."""

    identity: int
    poses: tuple[tuple[float, float], ...]
    images: list[NDArray[np.uint8]]
    depths: list[NDArray[np.float16]] | None
    mesh: Mesh | None


def make_subject(kind: Kind, seed: int | tuple[int, ...]) -> ShadedMesh:
    """The head or car that follows from a seed, in world coordinates."""
    if kind == "heads":
        from gram.data.synthetic.heads.head import make_head

        return make_head(seed)
    if kind == "cars":
        from gram.data.synthetic.cars.car import make_car

        return make_car(seed)
    raise ValueError(f"kind is {kind!r}; choose 'heads' or 'cars'")


def take_pictures(kind: Kind, job: Job, *, size: int, fov: float, supersampling: int, exact: bool) -> Shot:
    """Render one identity from all its poses; `exact` adds depth and the mesh."""
    subject = make_subject(kind, job.seed)
    settings = {"size": size, "fov": fov}
    return Shot(
        identity=job.identity,
        poses=job.poses,
        images=[render(subject, pose=pose, supersampling=supersampling, **settings) for pose in job.poses],
        depths=[render_depth(subject.mesh, pose=pose, **settings) for pose in job.poses] if exact else None,
        mesh=subject.mesh if exact else None,
    )


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the parent, which ends the pool; or else every worker prints a traceback of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
