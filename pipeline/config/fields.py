"""Fields of the schema: options with meaning, limits and effect."""

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
    """Declare an option: a dataclass field with meaning and limits.

    Args:
        meaning: one line for `--help`.
        choices: valid values, or a function that returns them.
        low: minimum.
        above: exclusive lower bound.
        high: maximum; without it numbers are at most 1e9, and always finite.
        endless: True if .inf is valid.
        path: True for a file or folder; a leading ~ or ~user is a home folder.
        local: True if it says where this machine writes or connects: refused in untrusted files.
        affects_result: False for duration, observation and machines, which an unfinished run may change.
        default: value with no effect; without it, each preset must set the option.
    """
    metadata = {"meaning": meaning, "choices": choices, "low": low, "above": above, "high": high}
    metadata |= {"endless": endless, "path": path, "local": local, "affects_result": affects_result}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default="???" if default is MISSING else default, metadata=metadata)


def sampler_kinds() -> Sequence[str]:
    """Kinds of samplers; imported late, as gram loads torch and data preparation needs no sampler."""
    from gram.rendering.samplers import SAMPLERS

    return tuple(SAMPLERS)
