"""The folder of a sweep: its request, and a lock for one driver at a time."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from gram.system import locks
from gram.system.folders import sweep_inside, write_file
from pipeline.cli.console import say
from pipeline.config.loader import as_dict
from pipeline.config.options import ConfigError, affects_result, leaves
from pipeline.config.pinned import without_private
from pipeline.config.redaction import redacted
from pipeline.sweep import sweep_yaml
from pipeline.sweep.report.shareable import without_private_words
from pipeline.sweep.request import Request
from pipeline.sweep.settings import Settings
from pipeline.sweep.space import require_point
from pipeline.sweep.trials import FILE, STOP, TRIALS, read_trials
from pipeline.tracking.fingerprint import program_hash
from pipeline.tracking.runs import STATE

_LOCK = "lock"
_NOT_COMPARED = (
    "paths.",
    "tracking.",
    "train.threads",
    "train.device",
    "train.launch.",
    "evaluate.",
    "export.",
)


@contextmanager
def opened(request: Request, *, resume: bool) -> Iterator[Path]:
    """The sweep's folder, held by this process alone, with sweep.yaml in it.

    Raises:
        ConfigError: there is a sweep of this name and it is not to be resumed, or its request was another.
        BusyError: another pipeline.sweep runs it.
    """
    folder, content = request.folder, described(request)
    require_right(request, resume=resume)
    folder.mkdir(parents=True, exist_ok=True)
    with locks.held(folder / _LOCK, what=folder, task="sweep"):
        sweep_inside(folder)
        if resume:
            content["started"] = sweep_yaml.read(folder).get("started", content["started"])
        write_file(folder / sweep_yaml.FILE, OmegaConf.to_yaml(OmegaConf.create(content)).encode())
        try:
            yield folder
        except BaseException:  # signals, too
            if not resume and not (folder / TRIALS).exists() and not (folder / STATE).exists():
                _forget(folder)  # nothing began
            raise


def _forget(folder: Path) -> None:
    """Remove the files of a sweep that did not begin, and the folder if nothing else is in it."""
    for name in (sweep_yaml.FILE, _LOCK, STATE, STOP):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def require_right(request: Request, *, resume: bool) -> None:
    """Refuse to overwrite a sweep, and to resume one of another request.

    Raises:
        ConfigError: naming the folder, and what differs.
    """
    folder = request.folder
    if not resume and folder.exists() and any(folder.iterdir()):
        raise ConfigError(_refusal(folder))
    if resume and not (folder / sweep_yaml.FILE).exists():
        raise ConfigError(f"--resume: there is no sweep in {folder}; leave it out to start one")
    if resume:
        _require_the_same(described(request), sweep_yaml.read_whole(folder), folder)
        for trial in read_trials(folder):
            require_point(request.space, trial.values, str(folder / TRIALS / trial.name / FILE))


def described(request: Request) -> dict[str, Any]:
    """Content of sweep.yaml: the request without paths and store, which --resume takes from its command."""
    typed = without_private_words(request.typed)
    return {
        "name": request.name,
        "command": redacted(shlex.join(["python", "-m", "pipeline.sweep", *typed])),
        "space": request.written,
        "objective": request.settings.sweep.objective,
        "experiment": request.experiment,
        "overrides": [redacted(word) for word in without_private_words(request.overrides)],
        "settings": asdict(request.settings.sweep),
        "base": without_private(as_dict(request.config)),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "program": program_hash(),
    }


def _refusal(folder: Path) -> str:
    if not (folder / sweep_yaml.FILE).exists():
        return f"{folder} is no sweep's and not empty: choose another name with sweep.name=NAME"
    trials = read_trials(folder)
    over = sum(trial.over for trial in trials)
    return (
        f"{folder} holds a sweep already, {over} of {len(trials)} trials done: go on with it by --resume, "
        "or start another one with sweep.name=NAME"
    )


def _require_the_same(now: Mapping[str, Any], before: Mapping[str, Any], folder: Path) -> None:
    new, old = _compared(now), _compared(before)
    changes = [
        f"{name} = {new.get(name, 'absent')}, which was {old.get(name, 'absent')}"
        for name in dict.fromkeys([*new, *old])
        if new.get(name, "absent") != old.get(name, "absent")
    ]
    if changes:
        raise ConfigError(
            f"--resume: {folder} is another sweep: {'; '.join(changes)}. Ask for the same, or start another "
            "one with sweep.name=NAME"
        )
    if now["program"] != before.get("program"):
        say("sweep: gram has changed since this sweep began: trials that are not finished start anew")


def _compared(content: Mapping[str, Any]) -> dict[str, Any]:
    """Options that must not change when a sweep is resumed, by their names on the command line."""
    space = dict(leaves({"space": content["space"]}))
    settings = {f"sweep.{key}": value for key, value in content["settings"].items()}
    settings = {name: value for name, value in settings.items() if affects_result(name, Settings)}
    base = {name: v for name, v in leaves(content["base"]) if not name.startswith(_NOT_COMPARED)}
    return {**space, **settings, **base}
