"""Record of the options of a prepared data set, `prepared` in its meta.json, and its comparison."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gram.data.format import DatasetMeta
from gram.data.storage import open_storage
from pipeline.config.schema import DataConfig

CONTENT = "content"
"""Entry of the record: digest of the source's files, None if the source is unavailable."""
SPACE = ("kind", "size", "near", "far", "background")
GENERATED = (*SPACE, "seed", "fov_degrees", "poses", "supersampling")
SPREAD = ("yaw_std", "pitch_std")
"""Options of gaussian poses."""
COUNTS = {"train": ("identities",), "test": ("test_identities", "views")}


def preparation(data: DataConfig, split: str = "train") -> dict[str, Any]:
    """Options that a split ('train' or 'test') depends on, with a digest of the source's files, for JSON.

    Of data.path it has only the last name, as data sets are passed on.
    """
    values = asdict(data)
    if data.kind != "images":
        spread = SPREAD if data.poses == "gaussian" else ()
        return {name: values[name] for name in (*GENERATED, *spread, *COUNTS[split])}
    made = {name: values[name] for name in (*SPACE, "test_identities")}
    if data.path is not None:
        source = Path(data.path)
        made |= {"path": source.name, CONTENT: content_of(source) if source.exists() else None}
    return made


def differences(recorded: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> list[str]:
    """Options in which a record differs, in words; empty without a record.

    Sources are compared by content, or by name if one is unavailable.
    """
    if recorded is None:
        return []
    both = [name for name in wanted if name in recorded and name not in ("path", CONTENT)]
    found = [
        f"data.{name} = {recorded[name]}, not {wanted[name]}"
        for name in both
        if recorded[name] != wanted[name]
    ]
    if "path" in wanted and "path" in recorded:
        contents = recorded.get(CONTENT), wanted.get(CONTENT)
        name = CONTENT if None not in contents else "path"
        if recorded[name] != wanted[name]:
            changed = recorded["path"] == wanted["path"]
            found.append(
                f"other files in data.path = {wanted['path']}"
                if changed
                else f"data.path = {recorded['path']}, not {wanted['path']}"
            )
    return found


def misfit(path: str, meta: DatasetMeta, data: DataConfig, split: str = "train") -> str | None:
    """Message about a data set at `path` that was prepared with other options; None if it fits."""
    if meta.prepared is None:
        return None
    found = differences(meta.prepared, preparation(data, split))
    return f"{path} was prepared with {'; '.join(found)}" if found else None


def content_of(source: Path) -> str:
    """SHA-256 of the files of a data set in a folder or a zip; DatasetError if there is none."""
    if source.is_file():
        with source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    storage, digest = open_storage(source), hashlib.sha256()
    for name in sorted(storage.names):
        digest.update(name.encode() + b"\0" + hashlib.sha256(storage.read(name)).digest())
    return digest.hexdigest()
