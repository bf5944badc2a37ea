"""Recognition of this program's outputs, by their marker or by names and content."""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram.system import documents

MARKER = ".gram-output.json"
TOGETHER = "together"
"""Entry of each latent in meshes.json: names of the files that show all latents."""
LITTER = re.compile(r"\.DS_Store|Thumbs\.db|desktop\.ini|\.nfs\w+")
"""Files that operating systems put into folders."""


@dataclass(frozen=True, kw_only=True)
class FolderKind:
    """Kind of folder that a stage writes.

    Attributes:
        name: name of the stage, in the marker.
        option: option that sets the path.
        names: pattern of file names without a marker.
        proof: True for a folder without marker whose content is this program's.
        marked: True if such folders get a marker.
        restored: True if DVC restores single files, so that files of these names may be absent from the
            marker.
    """

    name: str
    option: str
    names: str
    proof: Callable[[Path], bool]
    marked: bool = True
    restored: bool = False


def foreign(folder: Path, kind: FolderKind) -> str | None:
    """First file of a folder, by name, that this program did not write, or None."""
    there = sorted(name for name in files(folder) if not LITTER.fullmatch(Path(name).name))
    if not there:
        return None
    ours = re.compile(kind.names)
    listed = _marked(folder, kind)
    if listed is None:
        if not kind.proof(folder):
            return next((name for name in there if not ours.fullmatch(name)), there[0])
        return next((name for name in there if not ours.fullmatch(name)), None)
    known = (name in listed or (kind.restored and ours.fullmatch(name)) for name in there)
    return next((name for name, own in zip(there, known, strict=True) if not own), None)


def mark(folder: Path, kind: FolderKind) -> None:
    """Write the marker of a complete folder; it depends on the file names alone."""
    content = {"stage": kind.name, "files": sorted(files(folder))}
    (folder / MARKER).write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")


def files(folder: Path) -> Iterator[str]:
    """Relative names of all files and links below a folder, with forward slashes; links are not followed."""
    for where, inside, names in os.walk(folder):
        links = [name for name in inside if os.path.islink(os.path.join(where, name))]
        for name in [*names, *links]:
            yield Path(where, name).relative_to(folder).as_posix()


def is_record(file: Path) -> bool:
    """True if a file is the metrics.jsonl of a run."""
    first = _beginning(file).partition("\n")[0]
    return not first or _is_report(first)


def is_curves(file: Path) -> bool:
    """True if a file is the curves.csv of a run."""
    columns = _beginning(file).partition("\n")[0].strip().split(",")
    return columns in ([""], ["step"]) or {"step", "loss/discriminator"} <= set(columns)


def is_origin(file: Path) -> bool:
    """True if a file is the training.json of a run."""
    return _has(file, "fingerprint", "data_hash", "seed")


def is_page(file: Path) -> bool:
    """True if a file is the report of a run."""
    text = _beginning(file)
    before = '<meta name="color-scheme" content="light dark">' in text and ": a run</title>" in text
    return '<meta name="generator" content="gram">' in text or before


def sealed(text: str) -> str:
    """Append a line with a digest of the text to YAML, for `is_sealed`."""
    return f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def is_sealed(file: Path) -> bool:
    """True if a sealed file is unchanged."""
    text, mark, _ = (content := _beginning(file) if file.is_file() else "").rpartition(_SEAL)
    return bool(mark) and content == sealed(text)


def _marked(folder: Path, kind: FolderKind) -> set[str] | None:
    """Names in the marker of a folder; None without a marker of this kind."""
    content = _read_json(folder / MARKER)
    if not isinstance(content, dict) or content.get("stage") != kind.name:
        return None
    names = content.get("files")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return {*names, MARKER}


def _is_data(folder: Path) -> bool:
    """True if images and labels have the digest of meta.json."""
    from gram.data.reader import ImageDataset

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = ImageDataset(folder)
            meta = dataset.stored_meta
            return meta is not None and dataset.compute_content_hash() == meta.content_hash
    except (ValueError, OSError):
        return False


def _is_model(folder: Path) -> bool:
    return _has(folder / "model.json", "generator", "discriminator", "made_from")


def _is_export(folder: Path) -> bool:
    facts = _read_json(folder / "meshes.json")
    wanted = ("triangles", "watertight", "files")
    return isinstance(facts, dict) and any(_tells(fact, *wanted) for fact in facts.values())


def _is_report(line: str) -> bool:
    try:
        return _tells(documents.parse(line.encode(), Any, source="", remedy=""), "step", "time", "images")
    except documents.DocumentError:
        return False


def _has(file: Path, *keys: str) -> bool:
    return _tells(_read_json(file), *keys)


def _tells(content: Any, *keys: str) -> bool:
    return isinstance(content, dict) and set(keys) <= set(content)


def _read_json(file: Path) -> Any:
    try:
        return documents.read(file, Any, remedy="")
    except (OSError, documents.DocumentError):
        return None


def _beginning(file: Path) -> str:
    with file.open("rb") as opened:
        return opened.read(20_000).decode("utf-8", errors="replace")


_SEAL = "# the next plan replaces this file while nothing above is changed: sha256 "
_LEFT = r"(?:\.\d+)?(?:\.partial)?"
"""Suffixes of files that killed processes of earlier versions left."""
_IMAGES = (
    "samples|truncated|sweep|interpolation|reals|inversions|consistency|poses|surfaces|noise|noise_crops"
)
_MODEL_FILES = r"model\.json|generator\.safetensors|discriminator\.safetensors"
DATA = FolderKind(
    name="prepare",
    option="paths.train_data, paths.test_data",
    names=r"images/\d{5}/img\d{8}\.png|depth/\d{5}/img\d{8}\.npy|meshes/identity_\d+\.ply|(?:dataset|meta)\.json",
    proof=_is_data,
)
EVALUATION = FolderKind(
    name="evaluate",
    option="paths.evaluate",
    names=rf"\.?(?:(?:metrics|protocol|noise)\.json|inversions\.safetensors|(?:{_IMAGES})\.png){_LEFT}",
    proof=lambda folder: _has(folder / "protocol.json", "trained"),
    restored=True,
)
EXPORT = FolderKind(
    name="export",
    option="paths.export",
    names=r"\.?(?:(?:seed|latent)_\d+(?:_layers\.glb|_texture\.png|\.(?:glb|ply|obj|mtl|png|gif|mp4))"
    rf"|interpolation\.(?:gif|mp4)|viewer\.html|meshes\.json){_LEFT}",
    proof=_is_export,
)
NOISE = FolderKind(
    name="noise",
    option="paths.noise",
    names=r"noise\.json|noise\.png|noise_crops\.png",
    proof=lambda folder: _has(folder / "noise.json", "analytic"),
)
MODEL = FolderKind(name="train", option="paths.train", names=_MODEL_FILES, proof=_is_model, marked=False)
SAMPLES = FolderKind(
    name="train",
    option="paths.train",
    names=r"\.?(?:grid|sweep|surfaces)-\d{7,}\.png(?:\.\d+)?|\..+\.partial",
    proof=lambda folder: True,
    marked=False,
)
PACK = FolderKind(
    name="pack",
    option="--to",
    names=rf"{_MODEL_FILES}|README\.md|params\.yaml|metrics\.json|(?:samples|sweep)\.png",
    proof=_is_model,
    marked=False,
)
