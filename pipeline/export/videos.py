"""Turntables of one latent, and videos in which one latent becomes the next."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.meshing import write_gif, write_mp4
from gram.model.generator import Generator
from gram.model.latents import interpolate_latents
from pipeline.cli.progress import Progress
from pipeline.config.schema import ExportConfig
from pipeline.display.images import to_pixels
from pipeline.export.cameras import LEVEL, turntable
from pipeline.export.part import ExportedFiles, ExportedLatent

INTERPOLATION = "interpolation"
"""Name of the files that show all latents."""
BATCH = 8
"""Pictures drawn at a time."""
WRITERS = {"gif": write_gif, "mp4": write_mp4}
Update = Callable[[int], None]


def export_turntable(subject: ExportedLatent) -> ExportedFiles:
    """NAME.gif and NAME.mp4, as far as they are asked for: the latent turned, endlessly."""
    settings = subject.settings
    if not settings.videos:
        return ExportedFiles(files=[], facts={})
    poses = turntable(subject.generator, settings, settings.frames)
    frames = _drawn(subject.generator, subject.z.expand(len(poses), -1), poses, settings)
    return ExportedFiles(files=_write(frames, subject.file, settings), facts={})


def export_interpolation(subjects: Sequence[ExportedLatent]) -> list[Path]:
    """interpolation.gif and .mp4: every latent, export.between others on the way to the next, and back.

    The camera stands in front. One latent alone has no neighbours, and no such video.
    """
    first = subjects[0]
    settings = first.settings
    if len(subjects) == 1 or not settings.videos:
        return []
    z = interpolate_latents(torch.stack([subject.z for subject in subjects]), settings.between)
    poses = torch.tensor([[LEVEL, math.pi / 2]]).expand(len(z), -1)
    with Progress(INTERPOLATION, total=len(z), items="pictures") as progress:
        frames = _drawn(first.generator, z, poses, settings, progress.update)
    return _write(frames, lambda ending: first.out / f"{INTERPOLATION}{ending}", settings)


def _drawn(
    generator: Generator,
    z: Tensor,
    poses: Tensor,
    settings: ExportConfig,
    update: Update = lambda done: None,
) -> NDArray[np.uint8]:
    """Pictures of latents (count, z_dim) from poses (count, 2), some at a time."""
    parts: list[NDArray[np.uint8]] = []
    for some, seen_from in zip(z.split(BATCH), poses.to(z.device).split(BATCH), strict=True):
        drawn = generator.render(some, seen_from, size=settings.size, psi=settings.psi)
        parts.append(to_pixels(drawn.image))
        update(sum(map(len, parts)))
    return np.concatenate(parts)


def _write(frames: NDArray[np.uint8], file: Callable[[str], Path], settings: ExportConfig) -> list[Path]:
    files = [file(f".{kind}") for kind in settings.videos]
    for kind, path in zip(settings.videos, files, strict=True):
        WRITERS[kind](frames, path, fps=settings.fps)
    return files
