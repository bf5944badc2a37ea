"""`python -m pipeline.prepare`: the data sets to train on and to measure with."""

import os
import sys
from pathlib import Path

from gram.data.format import DatasetError, DatasetMeta
from gram.data.reader import ImageDataset
from gram.data.validate import validate
from gram.data.writer import DatasetWriter
from gram.poses import GaussianPoses, SphericalPoses
from pipeline import estimates, scene
from pipeline.cli import Stage, main
from pipeline.console import say
from pipeline.progress import Progress
from pipeline.schema import Config, PathsConfig

STAGE = Stage(
    name="prepare",
    summary="""
Writes two data sets in the project's layout, PNGs with their cameras: one to train on, and one of held-out
heads or cars in several views, with depth and mesh. The same seed gives the same bytes.

Kinds heads and cars are generated. Kind images takes a folder or zip of your own in the EG3D layout (PNGs and
a dataset.json with cam2world and intrinsics of each), checks every picture and camera, and scales it.""",
    groups=("data",),
    examples=(
        ("python -m pipeline.prepare", "what params.yaml says: heads, about a minute on two cores"),
        ("python -m pipeline.prepare data=cars128 data.identities=2000", "two thousand cars"),
        ("python -m pipeline.prepare data=images data.path=photos.zip data.size=64", "pictures of your own"),
    ),
    flags=(estimates.FORCE,),
)


def run(config: Config, *, force: bool = False) -> None:
    """Write both splits; `force` begins even what is estimated to be too much for this machine.

    Raises:
        DatasetError: the user's own pictures cannot be used; the message says which and why.
        ValueError: data.path is missing.
    """
    estimates.require_room("prepare", config, force=force)
    if config.data.kind == "images":
        _convert(config)
    else:
        _synthesize(config)


def _synthesize(config: Config) -> None:
    from gram.data.synthesis import synthesize

    data = config.data
    poses = scene.synthesis_poses(data)
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
            )
        _tell(path, identities * views, meta)


def _convert(config: Config) -> None:
    source = _source(config)
    report = validate(source)
    for note in report.warnings:
        say(f"prepare: warning: {note}")
    dataset = ImageDataset(source, size=config.data.size)
    scene.require_field_of_view(str(source), dataset.meta, config.data)
    say(f"prepare: their cameras: {_in_words(GaussianPoses(**dataset.meta.pose))}")
    say(f"prepare: cameras of fakes: {_in_words(scene.training_poses(config.data, dataset.meta))}")
    identities = dataset.identities or list(range(len(dataset)))
    held_out = set(sorted(set(identities))[-config.data.test_identities :])
    if (there := len(set(identities))) <= len(held_out):
        raise DatasetError(
            f"data.test_identities = {config.data.test_identities}, but {source} has only {there}: "
            "nothing would be left to train on; hold out fewer"
        )
    rows = range(len(dataset))
    _copy(dataset, identities, [i for i in rows if identities[i] not in held_out], "train", config)
    _copy(dataset, identities, [i for i in rows if identities[i] in held_out], "test", config)


def _source(config: Config) -> Path:
    if config.data.path is None:
        raise ValueError(
            "data.path is not set, and data.kind = images needs it: "
            "python -m pipeline.prepare data=images data.path=FOLDER_OR_ZIP"
        )
    source = Path(config.data.path)
    for target in _targets(config.paths):
        if source.resolve() == target.resolve():
            raise ValueError(
                f"data.path = {source} is where the prepared data goes; move your pictures elsewhere"
            )
    return source


def _copy(dataset: ImageDataset, identities: list[int], rows: list[int], split: str, config: Config) -> None:
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
        )
    _tell(path, len(rows), meta)


def _in_words(prior: GaussianPoses | SphericalPoses) -> str:
    if isinstance(prior, SphericalPoses):
        return "all around, evenly over the upper half of the sphere"
    yaw = f"{prior.yaw_mean:.3f} +- {prior.yaw_std:.3f}"
    return f"yaw {yaw}, pitch {prior.pitch_mean:.3f} +- {prior.pitch_std:.3f} (radians)"


def _targets(paths: PathsConfig) -> tuple[Path, Path]:
    return Path(paths.train_data), Path(paths.test_data)


def _tell(path: str, count: int, meta: DatasetMeta) -> None:
    say(f"{path}: {count} pictures of {meta.size} x {meta.size}, content {meta.content_hash[:12]}")


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
