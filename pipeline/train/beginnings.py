"""Why training begins at step 0 beside unfinished training: the options that are others there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gram.system.folders import write_file
from gram.training import checkpoint
from pipeline.config.options import leaves, shown

FILE = "settings.json"
"""Of a folder of checkpoints: what its fingerprint is made of, beside the program."""
LARGEST_BYTES = 2**20
MOST_TOLD = 6
_SCENE = "scene"
_DATA = "data"


def write(folder: Path, matters: Mapping[str, Any]) -> None:
    """Leave in a folder of checkpoints what shapes its training.

    Raises:
        OSError: it cannot be written.
    """
    if not (folder / FILE).exists():
        write_file(folder / FILE, (json.dumps(matters, indent=1) + "\n").encode())


def told(folder: Path, matters: Mapping[str, Any]) -> str | None:
    """Where other training got to, and the options that have to be given to go on with it.

    Args:
        folder: of the training that begins.
        matters: what shapes it.

    Returns:
        A line about the training beside it that differs least, the newest of several; None where none is.
    """
    found: list[tuple[int, float, Path, list[str]]] = []
    unknown: list[Path] = []
    for other in sorted(folder.parent.glob("*-*")):
        if other == folder or not checkpoint.steps(other):
            continue
        before = _read(other / FILE)
        if before is None:
            unknown.append(other)
        elif different := list(_differences(before, matters)):
            found.append((len(different), -(other / FILE).stat().st_mtime, other, different))
    if found:
        count, _, other, different = min(found)
        more = f" and {count - MOST_TOLD} more" if count > MOST_TOLD else ""
        listed = ", ".join(different[:MOST_TOLD]) + more
        step = checkpoint.newest_step(other)
        return f"{other} is at step {step}, trained with {listed}: with the same, training goes on from there"
    if unknown:
        step = checkpoint.newest_step(unknown[-1])
        return f"{unknown[-1]} is at step {step}, trained with other options or on other data"
    return None


def _read(file: Path) -> dict[str, Any] | None:
    """What a folder says of its training; None where it says nothing that can be read."""
    with suppress(OSError, ValueError, RecursionError):
        if file.stat().st_size <= LARGEST_BYTES:
            content = json.loads(file.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else None
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Options and their values before and now."""
    old, new = dict(leaves(before)), dict(leaves(now))
    for name in sorted(old.keys() | new.keys()):
        was, is_ = old.get(name), new.get(name)
        if was == is_:
            continue
        if name == _DATA:
            yield "other pictures (the data set has changed)"
        else:
            section, _, key = name.partition(".")
            option = f"data.{key}" if section == _SCENE else name
            yield f"{option} = {shown(was)}, not {shown(is_)}"
