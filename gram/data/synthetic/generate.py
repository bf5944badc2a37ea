"""Make data sets of procedural heads and cars: `synthesize`.

The training split shows every identity once, as a collection of photos would. The test split shows other
identities, each from several sides, with exact depth and a mesh. The same arguments give the same images for
any number of processes.
"""

from __future__ import annotations

import math
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from gram.data.format import DatasetMeta
from gram.data.synthetic.worker import Job, Kind, Shot, ignore_interrupts, take_pictures
from gram.data.writer import DatasetWriter
from gram.geometry.poses import GaussianPoses, SphericalPoses

Split = Literal["train", "test"]
Prior = GaussianPoses | SphericalPoses

LICENCE = "CC0-1.0"
SPLIT_NUMBERS = {"train": 0, "test": 1}
POSE_DIGITS = 6
"""Poses are rounded, so that a last bit that differs between processors does not change the images."""
POSE_POOL = 32
"""Poses drawn for each one that is kept when the views of an identity are spread over the prior."""


def synthesize(
    kind: Kind,
    out: str | os.PathLike[str],
    *,
    split: Split,
    size: int,
    identities: int,
    views: int,
    seed: int,
    fov: float,
    near: float,
    far: float,
    poses: Prior,
    processes: int = 1,
    supersampling: int = 3,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    prepared: Mapping[str, Any] | None = None,
    begin: Callable[[], None] = ignore_interrupts,
) -> DatasetMeta:
    """Render a data set and write it to a folder.

    Args:
        kind: 'heads' or 'cars'.
        out: the folder to make; it appears only when complete.
        split: 'train', or 'test' (other identities, with depth and meshes).
        size: pixels along one side.
        identities: how many people or cars.
        views: pictures of each.
        seed: everything follows from it.
        fov: angle between the centres of opposite border pixels, radians.
        near: distance along rays where the scene begins; stored in `meta.json`.
        far: distance where it ends.
        poses: prior of the camera poses.
        processes: worker processes; the result does not depend on it.
        supersampling: rays along one side of a pixel.
        overwrite: replace an existing folder.
        progress: called with the number of images done and in total.
        prepared: options that it is made with, for `meta.json`.
        begin: called in each worker process before its work.
    """
    _check(identities=identities, views=views, size=size, processes=processes, supersampling=supersampling)
    jobs = plan(split, identities=identities, views=views, seed=seed, poses=poses)
    shoot = partial(
        take_pictures, kind, size=size, fov=fov, supersampling=supersampling, exact=split == "test"
    )
    background = "plane" if kind == "heads" else "white"
    with (
        DatasetWriter(out, size=size, fov=fov, overwrite=overwrite) as writer,
        _mapper(processes, begin) as mapper,
    ):
        for shot in mapper(shoot, jobs):
            _write(writer, shot)
            if progress is not None:
                progress(len(writer), identities * views)
        return writer.finish(
            kind=kind,
            near=near,
            far=far,
            background=background,
            split=split,
            licence=LICENCE,
            seed=seed,
            prepared=prepared,
        )


def plan(split: Split, *, identities: int, views: int, seed: int, poses: Prior) -> list[Job]:
    """Which identities to show and from where; the splits share no identity."""
    generator = torch.Generator().manual_seed(2 * seed + SPLIT_NUMBERS[split])
    spread = POSE_POOL if views > 1 else 1
    drawn = poses.sample(identities * views * spread, generator=generator)
    table = np.round(drawn.numpy().astype(np.float64), POSE_DIGITS).reshape(identities, views * spread, 2)
    if views > 1:
        table = np.stack([_spread_over_yaw(pool, views) for pool in table])
    return [
        Job(
            identity=k,
            seed=(seed, SPLIT_NUMBERS[split], k),
            poses=tuple((float(pitch), float(yaw)) for pitch, yaw in table[k]),
        )
        for k in range(identities)
    ]


def _write(writer: DatasetWriter, shot: Shot) -> None:
    for k, (image, pose) in enumerate(zip(shot.images, shot.poses, strict=True)):
        writer.add(image, pose, identity=shot.identity, depth=None if shot.depths is None else shot.depths[k])
    if shot.mesh is not None:
        writer.add_file(f"meshes/identity_{shot.identity:03d}.ply", shot.mesh.to_ply())


def _spread_over_yaw(pool: NDArray[np.float64], views: int) -> NDArray[np.float64]:
    """`views` of the poses (views * POSE_POOL, 2), one from the middle of each yaw quantile."""
    ordered = pool[np.argsort(pool[:, 1], kind="stable")]
    return ordered[POSE_POOL // 2 :: POSE_POOL][:views]


@contextmanager
def _mapper(processes: int, begin: Callable[[], None]) -> Iterator[Callable[..., Iterator[Shot]]]:
    """A `map` that keeps the order: in this process, or over a pool that ends with the block, at once where
    that fails or is interrupted.
    """
    if processes == 1:
        yield map
        return
    context = multiprocessing.get_context("spawn")  # a fork could inherit locked threads of Torch or Embree
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=begin)
    try:
        yield partial(pool.map, chunksize=8)
        pool.shutdown()
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.kill()  # what they draw now, nobody waits for
        raise


def _check(**counts: int) -> None:
    for name, value in counts.items():
        least = 2 if name == "size" else 1
        if value < least or not math.isfinite(value):
            raise ValueError(f"{name} is {value}; it must be at least {least}")
