"""What the export stage left: meshes with their facts, turntables, and the 3D viewer."""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from gram.system import documents
from pipeline.display import html
from pipeline.runtime.recognition import TOGETHER

VIEWER, INTERPOLATION = "viewer.html", "interpolation"

REMEDY = "run python -m pipeline.export again"


class _Facts(TypedDict):
    triangles: NotRequired[int]
    watertight: NotRequired[bool]
    why_not_watertight: NotRequired[str | None]


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
        """What meshes.json names and is there; nothing of it has to be.

        Raises:
            ValueError: meshes.json holds something else.
        """
        path, viewer = folder / "meshes.json", folder / VIEWER
        facts = _facts(path) if path.is_file() else {}
        shared = _shared(facts)
        video = _video(folder / INTERPOLATION) if shared is None or INTERPOLATION in _stems(shared) else None
        shown = viewer.is_file() and (shared is None or VIEWER in shared)
        return cls(
            folder=folder,
            all=[one for name in facts if (one := _exported(folder, name, facts[name])).files],
            interpolation=video,
            viewer=viewer.read_text(encoding="utf-8") if shown else None,
        )

    @classmethod
    def none(cls, folder: Path) -> "Exports":
        """Nothing, as of a model that was not exported."""
        return cls(folder=folder, all=[], interpolation=None, viewer=None)


def _facts(path: Path) -> dict[str, Any]:
    facts = documents.read(path, dict[str, _Facts], remedy=REMEDY)
    for name in facts:
        if not re.fullmatch(r"[\w-]{1,64}", name):
            raise ValueError(f"{path}: {documents.shown(name)} is no name of files: {REMEDY}")
    return facts


def _exported(folder: Path, name: str, facts: Mapping[str, Any]) -> Exported:
    picture = folder / f"{name}.png"
    named = facts.get("files")
    files = sorted(folder.glob(f"{glob.escape(name)}*") if named is None else (folder / one for one in named))
    return Exported(
        name=name,
        facts=facts,
        picture=html.embedded(picture) if picture.is_file() else None,
        video=_video(folder / name),
        files=[(file.name, file.stat().st_size) for file in files if file.is_file()],
    )


def _shared(facts: Mapping[str, Mapping[str, Any]]) -> Sequence[str] | None:
    """Files of all latents together, None where meshes.json, of an earlier version, does not name them."""
    known = [one[TOGETHER] for one in facts.values() if TOGETHER in one]
    return known[0] if known else None


def _stems(names: Sequence[str]) -> set[str]:
    return {Path(name).stem for name in names}


def _video(stem: Path) -> tuple[str, bool] | None:
    """MP4 where there is one, as it is a tenth of a GIF."""
    for suffix in (".mp4", ".gif"):
        file = stem.with_suffix(suffix)
        if file.is_file():
            return html.embedded(file), suffix == ".mp4"
    return None
