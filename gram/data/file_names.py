"""Files that labels name, also where the name is written a little differently."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from gram.data.format import DatasetError
from gram.data.storage import Storage


def files_of(told: Sequence[str], storage: Storage, path: Path) -> list[str]:
    """The file of every label, in order.

    Backslashes and `./` are understood. A name that no file has stands for the only one that differs from it
    by case or by Unicode form alone, as file systems take names that distinguish neither.

    Raises:
        DatasetError: a file is missing, outside of the data set, named by two labels, or one of several.
    """
    names = [_plain(name, path) for name in told]
    others = [name for name in names if not storage.has(name)]
    alike = _alike(storage.names) if others else {}
    found = {name: _only(name, alike.get(_key(name), []), path) for name in others}
    if missing := [name for name in others if found[name] is None]:
        raise DatasetError(
            f"{len(missing)} of the {len(names)} images that dataset.json lists are missing in {path}, "
            f"the first is {missing[0]}: the data set is half-written or was moved incompletely; "
            "write it again"
        )
    files = [found.get(name) or name for name in names]
    _require_once(files, told, path)
    return files


def _plain(name: str, path: Path) -> str:
    plain = posixpath.normpath(name.replace("\\", "/")) if name else "."
    if not plain.isprintable():
        raise DatasetError(f"dataset.json in {path} names {name!r}: rename it without control characters")
    if plain == "." or plain.startswith(("/", "..")):
        raise DatasetError(f"dataset.json in {path} names {name!r}, which is no file of the data set")
    return plain


def _alike(names: Iterable[str]) -> dict[str, list[str]]:
    alike: dict[str, list[str]] = {}
    for name in sorted(names):
        alike.setdefault(_key(name), []).append(name)
    return alike


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _only(name: str, candidates: Sequence[str], path: Path) -> str | None:
    if len(candidates) > 1:
        raise DatasetError(
            f"dataset.json in {path} names {name}, which is there only as {' and '.join(candidates)}: "
            "write one of them"
        )
    return candidates[0] if candidates else None


def _require_once(files: Sequence[str], told: Sequence[str], path: Path) -> None:
    by_file: dict[str, str] = {}
    for file, name in zip(files, told, strict=True):
        if file in by_file:
            first = by_file[file]
            also = "" if first == name else f", as {first} and {name}"
            raise DatasetError(f"dataset.json in {path} lists {file} more than once{also}")
        by_file[file] = name
