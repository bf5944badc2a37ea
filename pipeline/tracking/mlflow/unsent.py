"""Unsent results of stages, kept in paths.checkpoints until a stage can send them."""

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
    """Results that a stage adds to a run: final numbers, and (file or folder, folder of the artifacts)."""

    run_id: str
    stage: str
    values: dict[str, float]
    artifacts: list[tuple[str, str]]


def keep(checkpoints: Path, store: str, addition: Addition) -> Path:
    """Write unsent results for a store in place of earlier ones of the stage and run; returns the file."""
    digest = hashlib.sha256(f"{store}\n{addition.run_id}".encode()).hexdigest()[:12]
    file = checkpoints / FOLDER / f"{addition.stage}-{digest}.json"
    write_file(file, json.dumps({"store": store, **asdict(addition)}, indent=1).encode())
    return file


def of(checkpoints: Path, *, store: str) -> Iterator[tuple[Path, Addition]]:
    """Files and contents of unsent results for a store; other files are skipped."""
    for file in sorted((checkpoints / FOLDER).glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content["store"] == store:
                yield file, _read(content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def sent(file: Path) -> None:
    """Remove results that have arrived."""
    file.unlink(missing_ok=True)
    if not any(file.parent.iterdir()):
        file.parent.rmdir()


def _read(content: dict[str, Any]) -> Addition:
    run_id, stage = str(content["run_id"]), str(content["stage"])
    values = {str(name): float(value) for name, value in content["values"].items()}
    artifacts = [(str(path), str(folder)) for path, folder in content["artifacts"]]
    return Addition(run_id, stage, values, artifacts)
