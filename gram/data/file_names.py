"""File names in labels, resolved to files of the data set despite small differences."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from gram.data.format import DatasetError
from gram.data.storage import Storage


def resolve_files(labelled: Sequence[str], storage: Storage, path: Path) -> list[str]:
    """Resolve the names of labels to files, in order.

    Backslashes and `./` are normalised. A missing name is matched to the only file that differs from it by
    case or Unicode form alone, since some file systems distinguish neither.

    Raises:
        DatasetError: a file is missing, outside of the data set, named by two labels, or ambiguous.
    """
    names = [_normalised(name, path) for name in labelled]
    unmatched = [name for name in names if not storage.has(name)]
    by_key = _by_key(storage.names) if unmatched else {}
    matches = {name: _only(name, by_key.get(_key(name), []), path) for name in unmatched}
    if missing := [name for name in unmatched if matches[name] is None]:
        raise DatasetError(
            f"{len(missing)} of the {len(names)} images that dataset.json lists are missing in {path}, "
            f"the first is {missing[0]}: the data set is half-written or was moved incompletely; "
            "write it again"
        )
    files = [matches.get(name) or name for name in names]
    _require_once(files, labelled, path)
    return files


def _normalised(name: str, path: Path) -> str:
    normalised = posixpath.normpath(name.replace("\\", "/")) if name else "."
    if not normalised.isprintable():
        raise DatasetError(f"dataset.json in {path} names {name!r}: rename it without control characters")
    if normalised == "." or normalised.startswith(("/", "..")):
        raise DatasetError(f"dataset.json in {path} names {name!r}, which is no file of the data set")
    return normalised


def _by_key(names: Iterable[str]) -> dict[str, list[str]]:
    by_key: dict[str, list[str]] = {}
    for name in sorted(names):
        by_key.setdefault(_key(name), []).append(name)
    return by_key


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _only(name: str, candidates: Sequence[str], path: Path) -> str | None:
    if len(candidates) > 1:
        raise DatasetError(
            f"dataset.json in {path} names {name}, which exists only as {' and '.join(candidates)}: "
            "write one of them"
        )
    return candidates[0] if candidates else None


def _require_once(files: Sequence[str], labelled: Sequence[str], path: Path) -> None:
    by_file: dict[str, str] = {}
    for file, name in zip(files, labelled, strict=True):
        if file in by_file:
            first = by_file[file]
            also = "" if first == name else f", as {first} and {name}"
            raise DatasetError(f"dataset.json in {path} lists {file} more than once{also}")
        by_file[file] = name
