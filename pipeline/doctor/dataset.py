"""Checks of the data set: origin, camera poses, and validity of each image."""

import math
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gram.data.format import DatasetMeta
from gram.data.reader import ImageDataset
from gram.data.validate import examine
from pipeline.config.schema import Config
from pipeline.doctor.findings import Caution, Fact, Finding, Problem
from pipeline.runtime import build, hardware, scene
from pipeline.runtime.hardware import amount

SHADES = " .:-=+*#%@"
COLUMNS, ROWS = 48, 10
REMEDY = "python -m pipeline.prepare with the same arguments writes it"
LISTED = 10
"""Maximum number of invalid files that are named."""


def description(config: Config) -> Iterator[Finding]:
    """Number, size and origin of the images, and their agreement with the configuration."""
    path = Path(config.paths.train_data)
    if not path.exists():
        yield Problem(f"there is no data set at {path}", REMEDY)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dataset = ImageDataset(path)
    yield from (Caution(str(warning.message)) for warning in caught)
    count, size = len(dataset), dataset.size
    yield Fact("images", f"{count} of {size} x {size}, {amount(_bytes(path))} in {path}")
    yield from _in_memory(config, count * 3 * size * size)
    if dataset.stored_meta is not None:
        yield from _origin(dataset.stored_meta)
    if dataset.identities is not None:
        yield Fact("identities", f"{len(set(dataset.identities))}")
    scene.open_dataset(config.paths.train_data, config.data)
    held_out = Path(config.paths.test_data)
    yield Fact("held out", f"{held_out}" if held_out.exists() else f"nothing at {held_out}")


def _in_memory(config: Config, needed: int) -> Iterator[Finding]:
    device = build.device(config.train.device)
    free = hardware.free_memory(device)
    yield Fact("in memory", f"{amount(needed)} on the {device.type} of every process")
    if needed > free:
        yield Problem(
            f"the images take {amount(needed)}, and {amount(free)} are free",
            "fewer images (data.identities), smaller ones (data.size), or a larger machine",
        )


def _origin(meta: DatasetMeta) -> Iterator[Finding]:
    yield Fact(
        "kind", f"{meta.kind}, split {meta.split}, licence {meta.licence}, content {meta.content_hash[:12]}"
    )
    yield Fact(
        "space",
        f"{math.degrees(meta.fov):.4g} degrees of view, from {meta.near:g} to {meta.far:g}, "
        f"background {meta.background}",
    )
    if meta.split != "train":
        yield Caution(f"these are images of the split {meta.split}: training on them biases its metrics")


def poses(config: Config) -> Iterator[Finding]:
    """Histogram of the camera poses."""
    if not Path(config.paths.train_data).exists():
        yield Fact("none", "there is no data set")
        return
    degrees = np.degrees(ImageDataset(config.paths.train_data).poses.numpy())
    pitch, yaw = degrees.T
    yield Fact("pitch", f"{pitch.mean():.1f} degrees, deviation {pitch.std():.1f}; 90 is level")
    yield Fact("yaw", f"{yaw.mean():.1f} degrees, deviation {yaw.std():.1f}; 90 is frontal")
    yield Fact("cameras", "\n".join(drawn(pitch, yaw)))


def drawn(pitch: NDArray[np.floating], yaw: NDArray[np.floating]) -> list[str]:
    """Draw a histogram of poses in degrees: pitch downwards, yaw to the right, darker for more poses."""
    counts, rows, columns = np.histogram2d(pitch, yaw, (ROWS, COLUMNS), (_span(pitch), _span(yaw)))
    darkest = len(SHADES) - 1
    shades = np.ceil(counts / max(counts.max(), 1.0) * darkest).astype(int)
    left, right = f"{columns[0]:.0f}", f"{columns[-1]:.0f}"
    lines = [
        f"{(low + high) / 2:5.0f} |{''.join(SHADES[shade] for shade in row)}|"
        for row, low, high in zip(shades, rows[:-1], rows[1:], strict=True)
    ]
    return [*lines, f"yaw    {left}{right.rjust(COLUMNS - len(left))}"]


def _span(values: NDArray[np.floating]) -> tuple[float, float]:
    """Range of values, at least a degree wide."""
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low >= 1.0 else (low - 0.5, high + 0.5)


def contents(config: Config) -> Iterator[Finding]:
    """Decode all images and report damaged files, copies, and a changed digest."""
    if not Path(config.paths.train_data).exists():
        yield Fact("none", "there is no data set")
        return
    report = examine(ImageDataset(config.paths.train_data))
    yield Fact("sound", f"{report.count - len(report.unreadable)} of {report.count} images")
    copies = [f"{copy} is {first} again" for first, copy in report.duplicates]
    if copies:
        yield Caution("\n".join([f"{len(copies)} images are copies of others:", *_some(copies)]))
    yield from map(Caution, report.warnings)
    if report.unreadable:
        yield Problem("\n".join(_some(report.unreadable)), REMEDY)
    elif report.changed:
        yield Problem("images or cameras were changed after meta.json was written", REMEDY)


def _some(texts: list[str]) -> list[str]:
    left = len(texts) - LISTED
    return texts[:LISTED] + ([f"and {left} more"] if left > 0 else [])


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
