"""Folders that exist whole or not at all, whatever interrupts the writing."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

PARTIAL = ".partial"


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files aside, make them durable, then put the folder in place of what was there.

    Raises:
        OSError: something cannot be written; what was at `path` before is intact.
    """
    aside = path.with_name(f".{path.name}{PARTIAL}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        for name, content in files.items():
            with (aside / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    _replace(path, aside)


def _replace(path: Path, aside: Path) -> None:
    """A folder cannot be renamed onto a full one, so the old one makes way first."""
    if path.exists():
        old = path.with_name(f".{path.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
        try:
            aside.rename(path)
        except OSError:
            old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        aside.rename(path)
    parent = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)
