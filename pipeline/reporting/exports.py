"""What the export stage left: meshes with their facts, turntables, and the 3D viewer."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import page


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One latent.

    Attributes:
        name: of its files.
        facts: what meshes.json says of it.
        picture: of its mesh, a data URI; None where there is none.
        video: its turntable as a data URI, and whether it is a video file or a picture that moves.
        files: name and size in bytes of every file.
    """

    name: str
    facts: Mapping[str, Any]
    picture: str | None
    video: tuple[str, bool] | None
    files: Sequence[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Exports:
    """An export's folder: every latent, the way from one to the next, and the viewer's page."""

    folder: Path
    all: Sequence[Exported]
    interpolation: tuple[str, bool] | None
    viewer: str | None

    @classmethod
    def read(cls, folder: Path) -> "Exports":
        """What is there; nothing of it has to be."""
        path, viewer = folder / "meshes.json", folder / "viewer.html"
        facts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return cls(
            folder=folder,
            all=[_exported(folder, name, facts[name]) for name in facts],
            interpolation=_video(folder / "interpolation"),
            viewer=viewer.read_text(encoding="utf-8") if viewer.is_file() else None,
        )


def _exported(folder: Path, name: str, facts: Mapping[str, Any]) -> Exported:
    picture = folder / f"{name}.png"
    files = sorted(file for file in folder.glob(f"{name}*") if file.is_file())
    return Exported(
        name=name,
        facts=facts,
        picture=page.embedded(picture) if picture.is_file() else None,
        video=_video(folder / name),
        files=[(file.name, file.stat().st_size) for file in files],
    )


def _video(stem: Path) -> tuple[str, bool] | None:
    """MP4 where there is one, as it is a tenth of a GIF."""
    for suffix in (".mp4", ".gif"):
        file = stem.with_suffix(suffix)
        if file.is_file():
            return page.embedded(file), suffix == ".mp4"
    return None
