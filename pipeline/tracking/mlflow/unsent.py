"""What stages could not send to the store of runs, kept in paths.checkpoints until a stage can."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gram.system.folders import write_file

FOLDER = "unsent"


@dataclass(frozen=True)
class Addition:
    """What a stage adds to a run: final numbers, and (file or folder, folder among the artifacts)."""

    run_id: str
    stage: str
    values: dict[str, float]
    artifacts: list[tuple[str, str]]


def keep(checkpoints: Path, store: str, addition: Addition) -> Path:
    """Write what is to be sent to a store, its address without secrets, and return the file.

    What the same stage left for the same run before is replaced.
    """
    file = checkpoints / FOLDER / f"{addition.stage}-{_short(store, addition.run_id)}.json"
    write_file(file, json.dumps({"store": store, **asdict(addition)}, indent=1).encode())
    return file


def of(checkpoints: Path, *, store: str) -> Iterator[tuple[Path, Addition]]:
    """Files and contents that are to be sent to a store; those that hold something else are passed over."""
    for file in sorted((checkpoints / FOLDER).glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["store"] == store:
                yield file, _read(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def sent(file: Path) -> None:
    """Forget what has arrived."""
    file.unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()


def _read(content: dict[str, Any]) -> Addition:
    run_id, stage = str(content["run_id"]), str(content["stage"])
    values = {str(name): float(value) for name, value in content["values"].items()}
    artifacts = [(str(path), str(folder)) for path, folder in content["artifacts"]]
    return Addition(run_id, stage, values, artifacts)


def _short(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]
