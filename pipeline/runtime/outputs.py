"""Outputs of stages: written atomically, by one process at a time, never in place of foreign files.

A folder that a stage writes holds a marker with the names of its files, and is replaced only if it holds
nothing else; other files are the user's, and stop the stage before any work. Folders of earlier versions,
models, and files that DVC restores have no marker, and are recognised by names and content.
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
"""Files that training publishes in paths.train."""


class OutputError(ValueError):
    """Refusal to overwrite foreign files; the message names them."""


def require_own(path: Path, kind: FolderKind) -> None:
    """Refuse to replace files that this program did not write; OutputError names the first of them."""
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
    """Lock `path` and yield an empty folder that replaces it when the block succeeds.

    Raises:
        OutputError: there are foreign files, before the block or at its end.
        BusyError: another process writes or reads there.
        OSError: it cannot be written; existing files are intact.
    """
    require_own(path, kind)
    with _held(path, kind.name), folders.naming(path), folders.replacing(path, alone=True) as aside:
        yield aside
        if kind.marked:
            recognition.mark(aside, kind)
        require_own(path, kind)


@contextmanager
def replacing_page(path: Path) -> Iterator[None]:
    """Lock the page at `path`; errors as `replacing`."""
    if path.is_dir() or (path.exists() and not recognition.is_page(path)):
        _refuse(path.name, path.parent, "paths.report")
    with _held(path.parent.resolve() / path.name, "report", follow=False):
        folders.sweep(path, alone=True)
        yield


@contextmanager
def replacing_plan(path: Path) -> Iterator[None]:
    """Lock the plan at `path`; errors as `replacing`, also for a plan that the user has changed."""
    _require_unchanged(path)
    with _held(path.parent.resolve() / path.name, "plan", follow=False):
        folders.sweep(path, alone=True)
        yield


def write_plan(path: Path, text: str) -> None:
    """Write a plan atomically, within `replacing_plan`, with the same errors."""
    _require_unchanged(path)
    folders.write_file(path, recognition.sealed(text).encode())


def _require_unchanged(path: Path) -> None:
    if os.path.lexists(path) and not recognition.is_sealed(path):
        raise OutputError(
            f"{path} was changed after python -m pipeline.plan wrote it, and would be lost: rename it, or "
            "write the new plan to another FOLDER with paths.train=FOLDER/train"
        )


def require_run(path: Path) -> None:
    """Refuse to publish training in place of files that this program did not write, as `require_own`."""
    for name, kind in TRAINED.items():
        require_own(path / name, kind)
    for name, known in RECORDS.items():
        file = path / name
        if file.is_dir() or (file.exists() and not known(file)):
            _refuse(name, path, "paths.train")


@contextmanager
def publishing(path: Path) -> Iterator[None]:
    """Lock `path` for the publication of training; errors as `replacing`."""
    require_run(path)
    with _held(path, "train"):
        for name in (*TRAINED, *RECORDS):
            folders.sweep(folders.real(path / name) if name in TRAINED else path / name, alone=True)
        yield


@contextmanager
def reading(path: Path, task: str) -> Iterator[None]:
    """Lock `path` against replacement by other processes, which may read it, too; BusyError during one."""
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
    """Create a folder; if the block fails, remove the empty folders that were created."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    with folders.naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):  # not empty
                one.rmdir()
        raise


def _lock(place: Path) -> Path:
    """Path of the lock, beside the output, which belongs to DVC."""
    return place.with_name(f".{place.name}.lock")


def _refuse(name: str | None, path: Path, option: str) -> None:
    if name is not None:
        raise OutputError(
            f"{path} holds {name}, which this program did not write, and which would be lost: "
            f"name another place ({option}), or move it away"
        )
