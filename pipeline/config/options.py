"""Options by dotted name, and messages about invalid values."""

import difflib
import math
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.config.redaction import redacted
from pipeline.config.schema import Config

_PLAIN_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_PLAIN_PLURALS = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}
REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)\}")
"""Pattern of a value that refers to another option."""
LARGEST = 1e9
"""Bound of floats without one in the schema."""
LARGEST_WHOLE = 2**63 - 1
LONGEST_TEXT = 4096
LONGEST_SHOWN = 120
"""Maximum characters of a value in messages."""
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")
"""Refused Unicode categories: control characters, surrogates of invalid UTF-8, line and paragraph ends."""


class ConfigError(ValueError):
    """Invalid configuration; the message names source, option and valid values."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """Option of the schema, by dotted name; `metadata` are arguments of `pipeline.config.fields.option`."""

    name: str
    type: Any
    default: Any
    metadata: Mapping[str, Any]

    @property
    def types(self) -> tuple[Any, ...]:
        """Types of its value, or of the items of its list."""
        return get_args(self.type) or (self.type,)

    @property
    def choices(self) -> Sequence[str]:
        """Valid values; empty if only the limits apply."""
        given: Sequence[str] | Callable[[], Sequence[str]] = self.metadata["choices"]
        return given() if callable(given) else given

    @property
    def is_text(self) -> bool:
        """True if its value is one text, taken as typed."""
        return str in self.types and get_origin(self.type) is not list

    @property
    def is_optional(self) -> bool:
        """True if null is valid."""
        return type(None) in self.types

    @property
    def expected(self) -> str:
        """Valid values, in words."""
        if choices := self.choices:
            return "one of " + ", ".join(choices)
        words = _type_in_words(self.type)
        bounds = [
            text.format(self.metadata[key])
            for key, text in (("low", "at least {}"), ("above", "above {}"), ("high", "at most {}"))
            if self.metadata[key] is not None
        ]
        return words + (", " + ", ".join(bounds) if bounds else "")

    def accepts(self, value: object) -> bool:
        """True if a value of the right type is within the limits."""
        if value is None:
            return True
        if choices := self.choices:
            return value in choices
        if isinstance(value, list):
            return all(self.accepts(item) for item in value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return True
        low, above, high = (self.metadata[key] for key in ("low", "above", "high"))
        if isinstance(value, float) and self.metadata["endless"] and value == math.inf:
            return True
        largest = LARGEST_WHOLE if isinstance(value, int) else LARGEST
        limits = [low is None or value >= low, above is None or value > above, high is None or value <= high]
        return all(limits) and -largest <= value <= largest  # NaN is within no limits


@cache
def all_options(schema: type = Config) -> dict[str, Option]:
    """Options by dotted name, in the order of the schema."""
    return {option.name: option for option in _walk(schema, "")}


def affects_result(name: str, schema: type = Config) -> bool:
    """True if another value makes another run; also for names that are no option any more."""
    option = all_options(schema).get(name)
    return option is None or option.metadata["affects_result"]


def _walk(schema: type, prefix: str) -> Iterator[Option]:
    hints = get_type_hints(schema)
    for field in fields(schema):
        annotation = hints[field.name]
        if is_dataclass(annotation) and isinstance(annotation, type):
            yield from _walk(annotation, f"{prefix}{field.name}.")
        else:
            yield Option(
                name=prefix + field.name, type=annotation, default=field.default, metadata=field.metadata
            )


def leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over (dotted name, value) of a nested mapping."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_type(name: str, value: object, source: str, schema: type = Config) -> None:
    """Refuse an unknown option and a value of the wrong type; ConfigError names source and valid values."""
    option = all_options(schema).get(name)
    if option is None:
        raise ConfigError(_unknown_option(name, value, source, schema))
    if isinstance(value, str) and REFERENCE.fullmatch(value):
        return  # resolved when all is composed
    if "${" in str(value):
        only = "only ${group.option} as the whole value refers to an option, nothing else is filled in"
        raise ConfigError(f"{source}: {name} = {shown(value)}: {only}")
    if not _fits(option, value, schema):
        raise ConfigError(f"{source}: {name} = {shown(value)}, but it takes {option.expected}")


def _fits(option: Option, value: object, schema: type) -> bool:
    """True if a value has an option's type; numbers are not converted to texts or truth values."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, list | dict) for item in items):
        return False
    if str in option.types:
        if not all(item is None or isinstance(item, str) for item in items):
            return False
    if option.type is bool and isinstance(value, int) and value not in (0, 1):
        return False
    try:
        OmegaConf.update(_typed(schema), option.name, value)
    except (OmegaConfBaseException, ValueError, OverflowError):
        return False
    return True


@cache
def _typed(schema: type) -> DictConfig:
    return OmegaConf.structured(schema)  # for trial assignments; slow to build


def check_limits(name: str, value: object, source: str, schema: type = Config) -> None:
    """Refuse a missing value and one beyond the option's limits; errors as in `check_type`."""
    option = all_options(schema)[name]
    if value == MISSING:
        meaning = option.metadata["meaning"]
        raise ConfigError(f"{source}: {name} is not set; it takes {option.expected} ({meaning})")
    if isinstance(value, str) and (problem := _textual_problem(value, option)):
        raise ConfigError(f"{source}: {name} = {shown(value)}: {problem}")
    if not option.accepts(value):
        hint = suggestion(value, option.choices) if isinstance(value, str) else _beyond(value)
        raise ConfigError(f"{source}: {name} = {shown(value)}, but it takes {option.expected}{hint}")


def at_home(name: str, value: Any, schema: type = Config) -> Any:
    """Value of an option with a leading ~ or ~user of a path replaced."""
    if all_options(schema)[name].metadata["path"] and isinstance(value, str):
        return os.path.expanduser(value)  # unchanged for an unknown user
    return value


def _textual_problem(value: str, option: Option) -> str | None:
    """Problem of a text for any option, or None."""
    if odd := [letter for letter in value if unicodedata.category(letter) in _CONTROLS]:
        return f"the character {odd[0]!a} is not allowed in options"
    if len(value) > LONGEST_TEXT:
        return f"{len(value)} characters, but an option takes at most {LONGEST_TEXT}"
    if option.metadata["path"] and not value.strip():
        return "the name of a file or folder cannot be empty" + ("; null is none" * option.is_optional)
    return None


def _beyond(value: object) -> str:
    """Requirement on numbers beyond the bounds in the schema, or an empty text."""
    numbers = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, int | float)]
    if not all(math.isfinite(number) for number in numbers):
        return ", and a finite one"
    if any(abs(number) > (LARGEST_WHOLE if isinstance(number, int) else LARGEST) for number in numbers):
        return f", of {LARGEST_WHOLE if isinstance(numbers[0], int) else f'{LARGEST:g}'} at most"
    return ""


def suggestion(given: str, known: Iterable[str]) -> str:
    """Text '; did you mean X?' for the closest known name, or an empty one."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else ""


def _unknown_option(name: str, value: object, source: str, schema: type) -> str:
    known = all_options(schema)
    group, _, rest = name.partition(".")
    siblings = [option for option in known if option.startswith(f"{group}.")]
    if siblings and not rest:
        return f"{source}: {name} = {shown(value)}, but {group} is a section: set {siblings[0]} and so on"
    namesakes = [option for option in known if option.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = suggestion(name, siblings) or suggestion(name, namesakes) or suggestion(name, known)
    return f"{source}: there is no option {name}{hint or '; --help lists them'}"


def shown(value: object) -> str:
    """Format a value for messages: as in YAML, in one line, with secrets masked, truncated."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**LONGEST_SHOWN:
        return "a number of more than a hundred digits"
    text = redacted(repr(value))
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _type_in_words(annotation: Any) -> str:
    if isinstance(annotation, UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return " or ".join(_type_in_words(a) for a in inner) + ", or null"
    if get_origin(annotation) is list:
        return f"a list of {_PLAIN_PLURALS[get_args(annotation)[0]]}"
    return _PLAIN_NAMES[annotation]
