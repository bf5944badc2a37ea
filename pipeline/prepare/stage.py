"""`python -m pipeline.prepare`: data sets for training and evaluation."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gram.data.format import DatasetError, DatasetMeta
from gram.data.reader import ImageDataset
from gram.data.validate import validate
from gram.data.writer import DatasetWriter
from gram.geometry.poses import GaussianPoses, SphericalPoses
from pipeline.cli import startup
from pipeline.cli.console import say
from pipeline.cli.progress import Progress
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config, PathsConfig
from pipeline.runtime import estimates, outputs, scene
from pipeline.runtime.prepared import preparation
from pipeline.runtime.recognition import DATA

STAGE = Stage(
    name="prepare",
    summary="""
Writes two data sets in the project's layout, PNGs with camera poses: one to train on, and one of held-out
heads or cars in several views, with depth and mesh. The same seed gives the same bytes.

Kinds heads and cars are generated. Kind images reads a folder or zip of your own in the EG3D layout (PNGs
and a dataset.json with cam2world and intrinsics of each), checks images and cameras, and scales images.""",
    groups=("data",),
    examples=(
        ("python -m pipeline.prepare", "configuration of params.yaml: heads, about a minute on two cores"),
        ("python -m pipeline.prepare data=cars128 data.identities=2000", "two thousand cars"),
        ("python -m pipeline.prepare data=images data.path=photos.zip data.size=64", "your own images"),
    ),
    require_room=partial(estimates.require_room, "prepare"),
)

Made = tuple[int, DatasetMeta]
"""Number of images of a data set, and its metadata."""


def run(config: Config) -> None:
    """Write both splits.

    Raises:
        DatasetError: the user's images cannot be used; the message names them and the reason.
        ValueError: data.path is missing, or there are foreign files in place of the output.
    """
    source = _source(config) if config.data.kind == "images" else None
    places = _targets(config.paths)
    with outputs.replacing(places[0], DATA) as train, outputs.replacing(places[1], DATA) as test:
        aside = replace(config.paths, train_data=str(train), test_data=str(test))
        make = _synthesize if source is None else partial(_convert, source)
        made = make(replace(config, paths=aside))
    for place, (count, meta) in zip(places, made, strict=True):
        say(f"{place}: {count} images of {meta.size} x {meta.size}, content {meta.content_hash[:12]}")


def _synthesize(config: Config) -> list[Made]:
    from gram.data.synthetic.generate import synthesize

    data = config.data
    poses = scene.synthesis_poses(data)
    made: list[Made] = []
    for split, path, identities, views in (
        ("train", config.paths.train_data, data.identities, 1),
        ("test", config.paths.test_data, data.test_identities, data.views),
    ):
        with Progress(f"prepare {split}", total=identities * views) as progress:
            meta = synthesize(
                "cars" if data.kind == "cars" else "heads",
                path,
                split="train" if split == "train" else "test",
                size=data.size,
                identities=identities,
                views=views,
                seed=data.seed,
                fov=scene.fov(data),
                near=data.near,
                far=data.far,
                poses=poses,
                processes=data.processes or os.cpu_count() or 1,
                supersampling=data.supersampling,
                overwrite=True,
                progress=lambda done, total: progress.update(done),
                prepared=preparation(data, split),
                begin=startup.begin_worker,
            )
        made.append((identities * views, meta))
    return made


def _convert(source: Path, config: Config) -> list[Made]:
    report = validate(source)
    for note in report.warnings:
        say(f"prepare: warning: {note}")
    made_of = preparation(config.data)  # before the images are read, so that later changes are noticed
    dataset = ImageDataset(source, size=config.data.size)
    scene.require_field_of_view(str(source), dataset.meta, config.data)
    say(f"prepare: camera poses of the images: {_in_words(GaussianPoses(**dataset.meta.pose))}")
    say(f"prepare: camera poses of fakes: {_in_words(scene.training_poses(config.data, dataset.meta))}")
    identities = dataset.identities or list(range(len(dataset)))
    held_out = set(sorted(set(identities))[-config.data.test_identities :])
    if (there := len(set(identities))) <= len(held_out):
        raise DatasetError(
            f"data.test_identities = {config.data.test_identities}, but {source} has only {there}: "
            "nothing would be left to train on: hold out fewer"
        )
    rows = range(len(dataset))
    kept = [i for i in rows if identities[i] not in held_out]
    tested = [i for i in rows if identities[i] in held_out]
    return [
        _copy(dataset, identities, kept, "train", config, made_of),
        _copy(dataset, identities, tested, "test", config, made_of),
    ]


def _source(config: Config) -> Path:
    if config.data.path is None:
        raise ValueError(
            "data.path is not set, and data.kind = images needs it: "
            "python -m pipeline.prepare data=images data.path=FOLDER_OR_ZIP"
        )
    source = Path(config.data.path)
    for target in _targets(config.paths):
        if Path(os.path.realpath(source)).is_relative_to(os.path.realpath(target)):
            raise ValueError(
                f"data.path = {source} is where the prepared data goes: move your images elsewhere"
            )
    return source


def _copy(
    dataset: ImageDataset,
    identities: list[int],
    rows: list[int],
    split: str,
    config: Config,
    made_of: Mapping[str, Any],
) -> Made:
    data = config.data
    path = config.paths.train_data if split == "train" else config.paths.test_data
    with (
        DatasetWriter(path, size=data.size, fov=dataset.meta.fov, overwrite=True) as writer,
        Progress(f"prepare {split}", total=len(rows)) as progress,
    ):
        for done, row in enumerate(rows, start=1):
            image, pose = dataset[row]
            pitch, yaw = pose.tolist()
            depth = dataset.depth(row)
            writer.add(
                image.permute(1, 2, 0).numpy(),
                (pitch, yaw),
                identity=identities[row],
                depth=None if depth is None else depth.numpy(),
            )
            progress.update(done)
        meta = writer.finish(
            kind="custom",
            near=data.near,
            far=data.far,
            background=data.background,
            split=split,
            licence=dataset.meta.licence,
            prepared=made_of,
        )
    return len(rows), meta


def _in_words(prior: GaussianPoses | SphericalPoses) -> str:
    if isinstance(prior, SphericalPoses):
        return "all around, evenly over the upper half of the sphere"
    yaw = f"{prior.yaw_mean:.3f} +- {prior.yaw_std:.3f}"
    return f"yaw {yaw}, pitch {prior.pitch_mean:.3f} +- {prior.pitch_std:.3f} (radians)"


def _targets(paths: PathsConfig) -> tuple[Path, Path]:
    return Path(paths.train_data), Path(paths.test_data)
