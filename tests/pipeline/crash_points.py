"""Moments at which SIGKILL could end a stage: the disk as it is before each change that a stage makes there.

SIGKILL leaves the disk as it is, so a copy taken then is what a killed stage leaves. Changes are known by
Python's audit events; what has none (the content of files, exchanging two folders) lies between two of them.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

CHANGES = {
    "os.rename": (0, 1),
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "shutil.rmtree": (0,),
    "ctypes.dlsym": (),
}
"""Events, and which of their arguments are paths that change; none: it may be anything."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Recorder:
    """Copies what stands in place of some outputs, and what is aside of them, before every change there.

    Args:
        outputs: of a stage.
        to: where the copies go, numbered, each with a folder for every output.
    """

    def __init__(self, outputs: Sequence[Path], to: Path) -> None:
        self._outputs, self._to = outputs, to
        self._count, self._copies = 0, False
        self._around = {os.path.realpath(output.parent) for output in outputs}

    def start(self) -> None:
        """Begin, for good: such a hook stays until the process ends."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._copies or not self._changes(event, arguments):
            return
        self._copies = True
        try:
            for number, output in enumerate(self._outputs):
                save(output, self._to / f"{self._count:04}" / str(number))
            self._count += 1
        finally:
            self._copies = False

    def _changes(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return bool(flags & WRITING) and self._is_around(path)
        if event == "ctypes.dlsym":
            return arguments[1] == "renameat2"
        return event in CHANGES and any(self._is_around(arguments[place]) for place in CHANGES[event])

    def _is_around(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return False
        where = os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(path))))
        return any(where == one or where.startswith(f"{one}/") for one in self._around)


def near(output: Path) -> list[Path]:
    """What stands at an output's place and what is aside of it, locks included."""
    if not output.parent.is_dir():
        return []
    there, aside = output.parent.iterdir(), f".{output.name}."
    return [path for path in there if path.name == output.name or path.name.startswith(aside)]


def save(output: Path, to: Path) -> None:
    """Copy an output and what is aside of it."""
    to.mkdir(parents=True)
    for entry in near(output):
        with suppress(FileNotFoundError):
            if entry.is_dir():
                shutil.copytree(entry, to / entry.name)
            else:
                shutil.copyfile(entry, to / entry.name)


def restore(output: Path, saved: Path) -> None:
    """Put an output and what is aside of it into the state of a copy."""
    for entry in near(output):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    shutil.copytree(saved, output.parent, dirs_exist_ok=True)


def digests(output: Path) -> dict[str, str]:
    """Name -> hash of the files of an output, which may be one itself; empty where there is none."""
    files = [output] if output.is_file() else [path for path in output.rglob("*") if path.is_file()]
    return {
        path.relative_to(output.parent).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
