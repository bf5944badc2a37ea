"""Generation of procedural data sets of heads and cars.

The training split has one image of each identity, like a photo collection. The test split has several views
of other identities, with exact depth and meshes. Images do not depend on the number of processes.
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
from gram.data.synthetic.worker import Job, Kind, RenderedIdentity, ignore_interrupts, render_identity
from gram.data.writer import DatasetWriter
from gram.geometry.poses import GaussianPoses, SphericalPoses

Split = Literal["train", "test"]
Prior = GaussianPoses | SphericalPoses

LICENCE = "CC0-1.0"
SPLIT_NUMBERS = {"train": 0, "test": 1}
POSE_DIGITS = 6
"""Decimals of poses, rounded for images that do not depend on the last bit of the processor's arithmetic."""
POSE_POOL = 32
"""Number of poses drawn per view, of which one is kept to spread the views of an identity."""


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
        out: folder of the data set; it appears only when complete.
        split: 'train', or 'test' (other identities, with depth and meshes).
        size: image side in pixels.
        identities: number of people or cars.
        views: images of each.
        seed: seed of everything random.
        fov: angle between the centres of opposite border pixels, radians.
        near: distance along rays where the scene begins; stored in `meta.json`.
        far: distance where it ends.
        poses: prior of the camera poses.
        processes: number of worker processes; does not change the result.
        supersampling: rays along one side of a pixel.
        overwrite: replace an existing folder.
        progress: called with the number of images done and in total.
        prepared: options of the preparation, for `meta.json`.
        begin: called in each worker process before its work.
    """
    _check(identities=identities, views=views, size=size, processes=processes, supersampling=supersampling)
    jobs = plan(split, identities=identities, views=views, seed=seed, poses=poses)
    render = partial(
        render_identity, kind, size=size, fov=fov, supersampling=supersampling, exact=split == "test"
    )
    background = "plane" if kind == "heads" else "white"
    with (
        DatasetWriter(out, size=size, fov=fov, overwrite=overwrite) as writer,
        _mapper(processes, begin) as mapper,
    ):
        for rendered in mapper(render, jobs):
            _write(writer, rendered)
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
    """Choose identities and camera poses; the splits share no identity."""
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


def _write(writer: DatasetWriter, rendered: RenderedIdentity) -> None:
    for k, (image, pose) in enumerate(zip(rendered.images, rendered.poses, strict=True)):
        depth = None if rendered.depths is None else rendered.depths[k]
        writer.add(image, pose, identity=rendered.identity, depth=depth)
    if rendered.mesh is not None:
        writer.add_file(f"meshes/identity_{rendered.identity:03d}.ply", rendered.mesh.to_ply())


def _spread_over_yaw(pool: NDArray[np.float64], views: int) -> NDArray[np.float64]:
    """Choose `views` of the poses (views * POSE_POOL, 2), one from the middle of each yaw quantile."""
    ordered = pool[np.argsort(pool[:, 1], kind="stable")]
    return ordered[POSE_POOL // 2 :: POSE_POOL][:views]


@contextmanager
def _mapper(processes: int, begin: Callable[[], None]) -> Iterator[Callable[..., Iterator[RenderedIdentity]]]:
    """Ordered `map` in this process or over a pool, whose workers are killed if the block fails."""
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
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
        pool.shutdown(cancel_futures=True)  # waits: at exit, its thread and Python close the same pipe
        raise


def _check(**counts: int) -> None:
    for name, value in counts.items():
        least = 2 if name == "size" else 1
        if value < least or not math.isfinite(value):
            raise ValueError(f"{name} is {value}; it must be at least {least}")
