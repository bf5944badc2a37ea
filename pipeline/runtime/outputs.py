"""What stages write: only in place of what this program wrote, one process at a time, whole or not at all.

A folder that a stage writes holds a marker, which names its files. It is replaced where it holds nothing
else; anything else in it is the user's, and stops the stage before it works. Folders of versions before,
models, and what DVC restores one by one have no marker, and are known by their names and their content.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gram.system import folders, locks
from pipeline.runtime import recognition
from pipeline.runtime.recognition import FolderKind

TRAINED = {"model": recognition.MODEL, "best": recognition.MODEL, "samples": recognition.SAMPLES}
"""Folders that training publishes in paths.train."""
RECORDS = {
    "metrics.jsonl": recognition.is_record,
    "curves.csv": recognition.is_curves,
    "training.json": recognition.is_origin,
}
"""Files that it publishes there."""


class OutputError(ValueError):
    """A place that a stage cannot write to without a loss; the message says what is there."""


def require_own(path: Path, kind: FolderKind) -> None:
    """Refuse to replace what this program did not write.

    Raises:
        OutputError: naming the first thing that it did not.
        OSError: symbolic links lead nowhere.
    """
    place = folders.real(path)
    if not place.exists():
        return
    if not place.is_dir():
        raise OutputError(f"{path} is no folder, and would be lost: name another one ({kind.option})")
    if os.path.ismount(place):
        raise OutputError(f"{path} is a whole file system: name a folder within it ({kind.option})")
    _refuse(recognition.foreign(place, kind), path, kind.option)


@contextmanager
def replacing(path: Path, kind: FolderKind) -> Iterator[Path]:
    """An empty folder, which takes the place of `path` when the block ends well, held by this process alone.

    Raises:
        OutputError: something is there that this program did not write; before any work, or when it has come
            meanwhile.
        BusyError: another process writes there, or reads it.
        OSError: it cannot be written; what was there is intact.
    """
    require_own(path, kind)
    with _held(path, kind.name), folders.naming(path), folders.replacing(path, alone=True) as aside:
        yield aside
        if kind.marked:
            recognition.mark(aside, kind)
        require_own(path, kind)


@contextmanager
def replacing_page(path: Path) -> Iterator[None]:
    """While entered, this process alone writes the page at `path`.

    Raises:
        OutputError: something else is there.
        BusyError: another process writes it.
    """
    if path.is_dir() or (path.exists() and not recognition.is_page(path)):
        _refuse(path.name, path.parent, "paths.report")
    with _held(path.parent.resolve() / path.name, "report", follow=False):
        folders.sweep(path, alone=True)
        yield


@contextmanager
def replacing_plan(path: Path) -> Iterator[None]:
    """While entered, this process alone writes the plan at `path`.

    Raises:
        OutputError: something else is there, or a plan that somebody has changed; before any work, or when it
            has come meanwhile.
        BusyError: another process writes it.
    """
    _require_unchanged(path)
    with _held(path.parent.resolve() / path.name, "plan", follow=False):
        folders.sweep(path, alone=True)
        yield


def write_plan(path: Path, text: str) -> None:
    """Write a plan, whole or not at all, within `replacing_plan`; errors as there."""
    _require_unchanged(path)
    folders.write_file(path, recognition.sealed(text).encode())


def _require_unchanged(path: Path) -> None:
    if os.path.lexists(path) and not recognition.is_sealed(path):
        raise OutputError(
            f"{path} is not as python -m pipeline.plan left it, and would be lost: rename it, or have the "
            "new plan written to another FOLDER, paths.train=FOLDER/train"
        )


def require_run(path: Path) -> None:
    """Refuse to publish training in place of what this program did not write.

    Raises:
        OutputError: naming the first thing that it did not.
    """
    for name, kind in TRAINED.items():
        require_own(path / name, kind)
    for name, known in RECORDS.items():
        file = path / name
        if file.is_dir() or (file.exists() and not known(file)):
            _refuse(name, path, "paths.train")


@contextmanager
def publishing(path: Path) -> Iterator[None]:
    """While entered, this process alone publishes training in `path`.

    Raises:
        OutputError: something is there that this program did not write.
        BusyError: another training publishes there.
    """
    require_run(path)
    with _held(path, "train"):
        for name in (*TRAINED, *RECORDS):
            folders.sweep(folders.real(path / name) if name in TRAINED else path / name, alone=True)
        yield


@contextmanager
def reading(path: Path, task: str) -> Iterator[None]:
    """While entered, no other process replaces what is at `path`; others may read it, too.

    Raises:
        BusyError: another process replaces it.
    """
    place = folders.real(path)
    with locks.held(_lock(place), what=path, task=task, shared=True):
        yield


@contextmanager
def _held(path: Path, task: str, *, follow: bool = True) -> Iterator[None]:
    place = folders.real(path) if follow else path
    with _made(place.parent), locks.held(_lock(place), what=path, task=task):
        yield


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Have a folder; where the block fails, those that were made for it and are empty go."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    with folders.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):  # something lies in it now
                one.rmdir()
        raise


def _lock(place: Path) -> Path:
    """Beside the folder, which is DVC's."""
    return place.with_name(f".{place.name}.lock")


def _refuse(name: str | None, path: Path, option: str) -> None:
    if name is not None:
        raise OutputError(
            f"{path} holds {name}, which this program did not write, and which would be lost: "
            f"name another place ({option}), or move it away"
        )
