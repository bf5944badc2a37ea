"""Fields of the configuration: an option with its meaning, its limits and what it affects."""

from collections.abc import Callable, Sequence
from dataclasses import MISSING, field
from typing import Any


def option(
    meaning: str,
    *,
    choices: Sequence[str] | Callable[[], Sequence[str]] = (),
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    endless: bool = False,
    path: bool = False,
    local: bool = False,
    affects_result: bool = True,
    default: Any = MISSING,
) -> Any:
    """A field of a group: its meaning, and the values it can take.

    Args:
        meaning: one line for `--help`.
        choices: the only values, or a function that gives them.
        low: smallest value.
        above: greatest lower bound that is not itself a value.
        high: largest value; without it a number is at most 1e9, and always finite.
        endless: .inf is a value, too.
        path: a file or folder; ~ at its beginning is somebody's home.
        local: where this machine writes, or whom it connects to: not taken from files of other people.
        affects_result: another value makes another run; else it says how long, how observed and on what
            machines, and an unfinished run goes on with any.
        default: value that changes nothing; without it every preset states the option.
    """
    metadata = {"meaning": meaning, "choices": choices, "low": low, "above": above, "high": high}
    metadata |= {"endless": endless, "path": path, "local": local, "affects_result": affects_result}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default="???" if default is MISSING else default, metadata=metadata)


def sampler_kinds() -> Sequence[str]:
    """Kinds of samplers. Asked for late: gram loads torch, and preparing data depends on no sampler."""
    from gram.rendering.samplers import SAMPLERS

    return tuple(SAMPLERS)
