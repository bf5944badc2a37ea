"""Turntable videos of one latent, and interpolation videos of all."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.extraction.cameras import LEVEL, turntable
from gram.meshing import write_gif, write_mp4
from gram.model.generator import Generator, to_pixels
from gram.model.latents import interpolate_latents
from pipeline.cli.progress import Progress
from pipeline.config.schema import ExportConfig
from pipeline.export.part import ExportedFiles, ExportedLatent

INTERPOLATION = "interpolation"
"""Name of the interpolation files, without suffix."""
BATCH = 8
"""Number of images rendered at a time."""
WRITERS = {"gif": write_gif, "mp4": write_mp4}


def export_turntable(subject: ExportedLatent) -> ExportedFiles:
    """Write NAME.gif and NAME.mp4, as in export.videos: a closed loop of views."""
    settings = subject.settings
    if not settings.videos:
        return ExportedFiles(files=[], facts={})
    poses = turntable(subject.generator, settings.yaw, settings.frames)
    frames = _render(subject.generator, subject.z.expand(len(poses), -1), poses, settings)
    return ExportedFiles(files=_write(frames, subject.file, settings), facts={})


def export_interpolation(subjects: Sequence[ExportedLatent]) -> list[Path]:
    """Write interpolation.gif and .mp4: frontal views of all latents, export.between steps to the next.

    It is a closed loop; a single latent has none.
    """
    first = subjects[0]
    settings = first.settings
    if len(subjects) == 1 or not settings.videos:
        return []
    z = interpolate_latents(torch.stack([subject.z for subject in subjects]), settings.between)
    poses = torch.tensor([[LEVEL, math.pi / 2]]).expand(len(z), -1)
    with Progress(INTERPOLATION, total=len(z), items="images") as progress:
        frames = _render(first.generator, z, poses, settings, progress.update)
    return _write(frames, lambda ending: first.out / f"{INTERPOLATION}{ending}", settings)


def _render(
    generator: Generator,
    z: Tensor,
    poses: Tensor,
    settings: ExportConfig,
    update: Callable[[int], None] = lambda done: None,
) -> NDArray[np.uint8]:
    """Images of latents (count, z_dim) from poses (count, 2), rendered in batches."""
    parts: list[NDArray[np.uint8]] = []
    for latents, cameras in zip(z.split(BATCH), poses.to(z.device).split(BATCH), strict=True):
        parts.append(
            to_pixels(generator.render(latents, cameras, size=settings.size, psi=settings.psi).image)
        )
        update(sum(map(len, parts)))
    return np.concatenate(parts)


def _write(frames: NDArray[np.uint8], file: Callable[[str], Path], settings: ExportConfig) -> list[Path]:
    files = [file(f".{kind}") for kind in settings.videos]
    for kind, path in zip(settings.videos, files, strict=True):
        WRITERS[kind](frames, path, fps=settings.fps)
    return files
