"""Settings of unfinished trainings, and the options in which a new one differs from them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from gram.system.folders import write_file
from gram.training import checkpoint
from pipeline.config.options import leaves, shown

FILE = "settings.json"
"""File beside the checkpoints: data and options that the fingerprint is made of."""
MAX_BYTES = 2**20
MAX_LISTED = 6
"""Maximum number of differing options named in the message."""
_SCENE = "scene"
_DATA = "data"


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings that shape a training into its folder of checkpoints, unless they are there.

    Raises:
        OSError: the file cannot be written.
    """
    if not (folder / FILE).exists():
        write_file(folder / FILE, (json.dumps(settings, indent=1) + "\n").encode())


def describe_closest(folder: Path, settings: Mapping[str, Any]) -> str | None:
    """Step of the training beside `folder` whose settings differ least, and the options that resume it.

    The newest of several equally close ones; None without any unfinished training.
    """
    found: list[tuple[int, float, Path, list[str]]] = []
    unknown: list[Path] = []
    for other in sorted(folder.parent.glob("*-*")):
        if other == folder or not checkpoint.steps(other):
            continue
        before = _read(other / FILE)
        if before is None:
            unknown.append(other)
        elif different := list(_differences(before, settings)):
            found.append((len(different), -(other / FILE).stat().st_mtime, other, different))
    if found:
        count, _, other, different = min(found)
        more = f" and {count - MAX_LISTED} more" if count > MAX_LISTED else ""
        listed = ", ".join(different[:MAX_LISTED]) + more
        step = checkpoint.newest_step(other)
        return f"{other} is at step {step}, trained with {listed}: the same options resume it"
    if unknown:
        step = checkpoint.newest_step(unknown[-1])
        return f"{unknown[-1]} is at step {step}, trained with other options or on other data"
    return None


def _read(file: Path) -> dict[str, Any] | None:
    """Settings of a training; None if the file is missing or unreadable."""
    with suppress(OSError, ValueError, RecursionError):
        if file.stat().st_size <= MAX_BYTES:
            content = json.loads(file.read_text(encoding="utf-8"))
            return content if isinstance(content, dict) else None
    return None


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Options with their values before and now."""
    old, new = dict(leaves(before)), dict(leaves(now))
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        if name == _DATA:
            yield "other images (the data set has changed)"
        else:
            section, _, key = name.partition(".")
            option = f"data.{key}" if section == _SCENE else name
            yield f"{option} = {shown(old.get(name))}, not {shown(new.get(name))}"
