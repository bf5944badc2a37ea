"""Results of a sweep without what concerns this machine alone: its page and its table are given away."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipeline.config.options import all_options
from pipeline.config.pinned import PRIVATE, is_file_option, without_folders, without_own_folders
from pipeline.sweep.report.results import Results
from pipeline.sweep.trials import Trial

FLAGS_OF_FILES = ("--params",)


def shareable(results: Results) -> Results:
    """The same without folders of this machine and without addresses of servers."""
    return replace(results, request=_request(results.request), trials=_trials(results))


def _trials(results: Results) -> list[Trial]:
    names = _names(results)
    return [
        replace(
            trial,
            values={name: names.get((name, str(value)), value) for name, value in trial.values.items()},
            reason=None if trial.reason is None else without_own_folders(trial.reason),
        )
        for trial in results.trials
    ]


def _names(results: Results) -> dict[tuple[str, str], str]:
    """(option, path) -> a name without folders; different paths keep different names."""
    found: dict[tuple[str, str], str] = {}
    for trial in results.trials:
        for option, value in trial.values.items():
            if not is_file_option(option) or not isinstance(value, str) or (option, value) in found:
                continue
            name = without_folders(value)
            others = sum(taken.partition(" #")[0] == name for taken in found.values())
            found[option, value] = f"{name} #{others + 1}" if others else str(name)
    return found


def _request(request: Mapping[str, Any]) -> dict[str, Any]:
    """sweep.yaml, without private options and without folders of paths."""
    shown = dict(request)
    if isinstance(request.get("command"), str):
        shown["command"] = shlex.join(_typed(shlex.split(request["command"])))
    if isinstance(request.get("overrides"), list):
        shown["overrides"] = _typed([str(word) for word in request["overrides"]])
    if isinstance(request.get("space"), Mapping):
        shown["space"] = {name: _candidates(name, entry) for name, entry in request["space"].items()}
    return shown


def without_private_words(words: Sequence[str]) -> list[str]:
    """Arguments of a command line without those that set paths and a store; tracking=none is a preset."""

    def is_private(word: str) -> bool:
        name, sign, _ = word.partition("=")
        option = all_options().get(name)
        in_section = name != "tracking" and name.partition(".")[0] in PRIVATE
        return bool(sign) and (in_section or (option is not None and option.metadata["local"]))

    return [word for word in words if not is_private(word)]


def _typed(words: Sequence[str]) -> list[str]:
    found, previous = [], ""
    for word in without_private_words(words):
        option, sign, value = word.partition("=")
        private = previous in FLAGS_OF_FILES or (sign and is_file_option(option))
        bare = value if sign else option
        named = without_folders(bare.strip("'\"")) if private else bare
        found.append(f"{option}={named}" if sign else str(named))
        previous = word
    return found


def _candidates(option: str, entry: object) -> object:
    if isinstance(entry, list):
        return [_candidates(option, one) for one in entry]
    return without_folders(entry) if isinstance(entry, str) and is_file_option(option) else entry
