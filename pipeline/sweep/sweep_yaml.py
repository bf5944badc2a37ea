"""sweep.yaml, the request of a sweep: read from its folder, which a fault or others may have changed."""

from pathlib import Path
from typing import Any, TypedDict

from gram.system import documents
from pipeline.config.options import ConfigError
from pipeline.config.yaml_reading import read_mapping

FILE = "sweep.yaml"
DAMAGED = "the folder is damaged: start another sweep with sweep.name=NAME"
_NEEDED = ("space", "settings", "base")
"""Entries that a resumed sweep is compared by."""


class _Base(TypedDict, total=False):
    """The section of the configuration that is read."""

    sampler: dict[str, Any]


class _Content(TypedDict, total=False):
    """Entries of the file; see `pipeline.sweep.folder.described`."""

    name: str | None
    command: str | None
    space: dict[str, Any]
    objective: str | None
    experiment: str | None
    overrides: list[str] | None
    settings: dict[str, Any]
    base: _Base | None
    started: str | None
    program: str | None


def read(folder: Path) -> dict[str, Any]:
    """Content of a sweep's sweep.yaml; empty where there is none.

    Raises:
        ValueError: it is damaged, naming the entry.
        OSError: it cannot be read.
    """
    file = folder / FILE
    if not file.exists():
        return {}
    return documents.check(plain_yaml(file, remedy=DAMAGED), _Content, source=str(file), remedy=DAMAGED)


def read_whole(folder: Path) -> dict[str, Any]:
    """The same for a sweep that is to be resumed.

    Raises:
        ValueError: as `read`, and where an entry is missing that the new request is compared with.
    """
    content = read(folder)
    for name in _NEEDED:
        if not content.get(name):
            raise documents.DocumentError(f"{folder / FILE}: {name} is missing: {DAMAGED}")
    return content


def plain_yaml(file: Path, *, remedy: str) -> dict[str, Any]:
    """Content of a YAML file within the bounds of `pipeline.config.yaml_reading`.

    Raises:
        ValueError: it is something else; the message ends with the remedy.
    """
    try:
        return read_mapping(file)
    except ConfigError as error:
        raise documents.DocumentError(f"{error}: {remedy}") from None
