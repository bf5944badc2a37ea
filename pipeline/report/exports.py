"""Files of the export stage: meshes with their facts, turntables, and the 3D viewer."""

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
    """Files of one latent."""

    name: str  # prefix of its files
    facts: Mapping[str, Any]  # entry in meshes.json
    image: str | None  # data URI of an image of its mesh
    video: tuple[str, bool] | None  # data URI of its turntable, True for MP4, False for an animated image
    files: Sequence[tuple[str, int]]  # names and sizes in bytes


@dataclass(frozen=True, kw_only=True)
class Exports:
    """Contents of an export's folder: all latents, the interpolation video, and the viewer's page."""

    folder: Path
    all: Sequence[Exported]
    interpolation: tuple[str, bool] | None
    viewer: str | None

    @classmethod
    def read(cls, folder: Path) -> "Exports":
        """Read the existing files that meshes.json names; all of them may be missing.

        Raises:
            ValueError: meshes.json is malformed.
        """
        path, viewer = folder / "meshes.json", folder / VIEWER
        facts = _facts(path) if path.is_file() else {}
        shared = _shared(facts)
        interpolated = shared is None or INTERPOLATION in {Path(name).stem for name in shared}
        shown = viewer.is_file() and (shared is None or VIEWER in shared)
        return cls(
            folder=folder,
            all=[one for name in facts if (one := _exported(folder, name, facts[name])).files],
            interpolation=_video(folder / INTERPOLATION) if interpolated else None,
            viewer=viewer.read_text(encoding="utf-8") if shown else None,
        )

    @classmethod
    def none(cls, folder: Path) -> "Exports":
        """Contents without any file."""
        return cls(folder=folder, all=[], interpolation=None, viewer=None)


def _facts(path: Path) -> dict[str, Any]:
    facts = documents.read(path, dict[str, _Facts], remedy=REMEDY)
    for name in facts:
        if not re.fullmatch(r"[\w-]{1,64}", name):
            raise ValueError(f"{path}: {documents.shown(name)} is not a valid file name: {REMEDY}")
    return facts


def _exported(folder: Path, name: str, facts: Mapping[str, Any]) -> Exported:
    image = folder / f"{name}.png"
    named = facts.get("files")
    files = sorted(folder.glob(f"{glob.escape(name)}*") if named is None else (folder / one for one in named))
    return Exported(
        name=name,
        facts=facts,
        image=html.embedded(image) if image.is_file() else None,
        video=_video(folder / name),
        files=[(file.name, file.stat().st_size) for file in files if file.is_file()],
    )


def _shared(facts: Mapping[str, Mapping[str, Any]]) -> Sequence[str] | None:
    """Files of all latents together; None if meshes.json, of an earlier version, does not name them."""
    return next((one[TOGETHER] for one in facts.values() if TOGETHER in one), None)


def _video(stem: Path) -> tuple[str, bool] | None:
    """Video as a data URI; the MP4, a tenth as large, is preferred to the GIF."""
    for suffix in (".mp4", ".gif"):
        file = stem.with_suffix(suffix)
        if file.is_file():
            return html.embedded(file), suffix == ".mp4"
    return None
