"""Sqlite file of a store: address, atomic creation, and moves together with the project."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from gram.system import locks
from pipeline.cli.console import say

PLAIN = "sqlite:///"
QUOTED = "sqlite+pysqlite:///"
"""Prefix for quoted paths: MLflow creates the folder of a `sqlite:` address before it is unquoted."""
ARTIFACTS = "mlruns"
WAIT_SECONDS = 10.0
"""Seconds to wait for another process that writes."""
MAKE_SECONDS = 120.0
"""Seconds to wait for another process that creates the database."""


class DatabaseError(ValueError):
    """File that cannot hold runs."""


def address(file: Path) -> str:
    """Tracking URI of a file, with special characters quoted."""
    path = str(file)
    quoted = path.replace("%", "%25").replace("?", "%3F")
    return f"{PLAIN}{path}" if quoted == path else f"{QUOTED}{quoted}"


def file_of(uri: str) -> Path | None:
    """File of a tracking URI, links followed; None for servers."""
    kind, _, rest = uri.partition(":///")
    if kind != "sqlite" and not kind.startswith("sqlite+"):
        return None
    return Path(unquote(rest.partition("?")[0])).resolve()


def artifacts_of(file: Path) -> str:
    """URI of a store's artifacts, beside the file."""
    return (file.parent / ARTIFACTS).as_uri()


def make(file: Path) -> None:
    """Create the database if it is missing, under a lock, in a file that is renamed when complete.

    Raises:
        DatabaseError: there is another file, or an incomplete database.
        OSError: it cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    if _is_there(file):
        require_whole(file)
        return
    lock = file.with_name(f".{file.name}.lock")
    with locks.held(lock, what=file, task="making it", patience=MAKE_SECONDS):
        if _is_there(file):
            require_whole(file)
            return
        for left in file.parent.iterdir():  # left by killed processes
            if left.name.startswith(_aside(file, "").name):
                left.unlink(missing_ok=True)
        aside = _aside(file, str(os.getpid()))
        try:
            _make(aside, artifacts=artifacts_of(file))
            _name(aside, file)
        finally:
            aside.unlink(missing_ok=True)


def require_whole(file: Path) -> None:
    """Refuse a folder, no database, or an incomplete one, for which MLflow would retry for minutes."""
    if file.is_dir():
        raise DatabaseError(f"{file} is a folder, but should be a database: move it away")
    remedy = f"move it away (mv '{file}' '{file}.old') and run again"
    try:
        with _read(file) as rows:
            tables = {name for (name,) in rows("select name from sqlite_master where type = 'table'")}
            made = {"experiments", "runs"} <= tables
            empty = made and not rows("select 1 from experiments union select 1 from runs")
    except sqlite3.Error as error:
        raise DatabaseError(f"{file} is no readable database ({error}): {remedy}") from None
    if not made and tables - {"alembic_version"}:
        raise DatabaseError(f"{file} is a database of something else: {remedy}")
    if not made or empty:
        raise DatabaseError(f"{file} is incomplete, its creation was interrupted, without runs: {remedy}")


def follow_move(file: Path) -> None:
    """Update the absolute artifact paths of a store whose folder was moved or copied.

    Paths beside the old place become paths beside the new one, for experiments, and for runs whose artifacts
    were moved, too.
    """
    moved = misplaced(file)
    if not moved:
        return
    here = file.parent / ARTIFACTS
    with closing(sqlite3.connect(_locator(file, "rw"), uri=True, timeout=WAIT_SECONDS)) as base, base:
        for old in moved:
            change = "update experiments set artifact_location = ? where artifact_location = ?"
            base.execute(change, (here.as_uri(), old))
        for run, place in base.execute("select run_uuid, artifact_uri from runs").fetchall():
            old = next((old for old in moved if place and place.startswith(f"{old}/")), None)
            now = None if old is None else here / unquote(place.removeprefix(f"{old}/"))
            if now is not None and (now.exists() or not _path(place).exists()):
                base.execute("update runs set artifact_uri = ? where run_uuid = ?", (now.as_uri(), run))
    say(f"tracking: {file} was moved or copied from {_path(moved[0]).parent}: artifacts go to {here} now")


def misplaced(file: Path) -> list[str]:
    """Artifact locations at the place from which the store was moved or copied."""
    with suppress(sqlite3.Error), _read(file) as rows:
        locations = {place for (place,) in rows("select artifact_location from experiments") if place}
        return sorted(place for place in locations if _is_left_behind(place, file))
    return []


def _is_left_behind(location: str, file: Path) -> bool:
    if urlsplit(location).scheme not in ("", "file"):
        return False
    old = _path(location)
    if old.name != ARTIFACTS or old.parent.resolve() == file.parent:
        return False
    return not old.exists() or (old.parent / file.name).exists()  # moved, or copied from a store in use


def _path(location: str) -> Path:
    return Path(unquote(urlsplit(location).path) if location.startswith("file:") else location)


def _is_there(file: Path) -> bool:
    """True if there is anything but an empty file."""
    return file.exists() and (not file.is_file() or file.stat().st_size > 0)


def _aside(file: Path, who: str) -> Path:
    return file.with_name(f".{file.name}.making-{who}")


def _make(file: Path, *, artifacts: str) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(address(file), artifacts).engine.dispose()


def _name(aside: Path, file: Path) -> None:
    """Rename a file, unless another process was first."""
    if file.exists():
        aside.replace(file)  # empty
        return
    try:
        os.link(aside, file)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        aside.rename(file)


def _locator(file: Path, mode: str) -> str:
    return f"file:{quote(str(file))}?mode={mode}"


@contextmanager
def _read(file: Path) -> Iterator[Callable[[str], list[Any]]]:
    with closing(sqlite3.connect(_locator(file, "ro"), uri=True, timeout=WAIT_SECONDS)) as base:
        yield lambda question: base.execute(question).fetchall()
