"""Reader of untrusted YAML files: one small document of plain values, without aliases and tags.

Differences to YAML 1.1: no timestamps, no octal or sexagesimal numbers, and 1e-5 is a number. Values of text
options are kept as typed.
"""

import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from pipeline.config.options import ConfigError

PROJECT = Path(__file__).resolve().parents[2]
LARGEST_BYTES = 2**20
MOST_VALUES = 20_000
DEEPEST = 20
_STANDARD = "tag:yaml.org,2002:"
_TAGS = frozenset(_STANDARD + name for name in ("str", "int", "float", "bool", "null", "seq", "map"))
_NULL = _STANDARD + "null"
_TEXT = _STANDARD + "str"

_PARSER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Scalars(yaml.constructor.SafeConstructor, yaml.resolver.BaseResolver):
    """Constructor of numbers, true and false, null and texts."""


for _name, _pattern, _first in (
    ("bool", r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0b[01_]+|0x[0-9a-fA-F_]+)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*\.[0-9_]*)(?:[eE][-+]?[0-9]+)?", "-+0123456789."),
    ("float", r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Scalars.add_implicit_resolver(_STANDARD + _name, re.compile(rf"(?:{_pattern})\Z"), list(_first))


def shown_path(path: Path) -> str:
    """Path for messages: relative to the project, if inside."""
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)


def read_mapping(path: Path, *, is_text: Callable[[str], bool] = lambda name: False) -> dict[str, Any]:
    """Read the mapping of a YAML file.

    Args:
        path: file to read.
        is_text: True for dotted names whose plain values are texts, kept as typed.

    Raises:
        ConfigError: the file is missing, too large or too deep, holds anything but one mapping of plain
            values, a duplicate key, an alias or a tag; the message names file and line.
    """
    text, shown = _bounded_bytes(path), shown_path(path)
    try:
        tree = _Composer(yaml.parse(text, Loader=_PARSER), shown, is_text).document()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        raise ConfigError(
            f"{shown} is no valid YAML: {problem or ' '.join(str(error).split())}{where}"
        ) from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{shown}: a mapping of options to values is needed, as train: {{steps: 100}}")
    return tree


def _bounded_bytes(path: Path) -> bytes:
    """Read a file of at most LARGEST_BYTES, or a shell's <(command)."""
    shown = shown_path(path)
    try:
        mode = path.stat().st_mode
        piped = stat.S_ISFIFO(mode) and str(path).startswith(("/dev/", "/proc/"))
        if not (stat.S_ISREG(mode) or piped):
            raise ConfigError(f"{shown} is no file: give one in the format of params.yaml")
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{shown}: there is no such file") from None
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown!r} cannot be read: {problem}") from None
    if len(content) > LARGEST_BYTES:
        raise ConfigError(f"{shown} has more than {LARGEST_BYTES} bytes, which no configuration needs")
    return content


class _Composer:
    """Builder of a tree from parser events, which stops at the first error."""

    def __init__(self, events: Iterator[Any], shown: str, is_text: Callable[[str], bool]) -> None:
        self._events, self._shown, self._is_text = events, shown, is_text
        self._scalars = _Scalars()
        self._values = 0

    def document(self) -> Any:
        """Content of the only document; an empty one is an empty mapping."""
        next(self._events)  # start of the stream
        first = next(self._events)
        if isinstance(first, yaml.StreamEndEvent):
            return {}
        tree = self._value(next(self._events), "", 0)
        next(self._events)  # end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            self._refuse(after, "begins a second document: keep one, without ---")
        return {} if tree is None else tree

    def _value(self, event: Any, name: str, depth: int) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            self._refuse(event, f"has more than {MOST_VALUES} values, which no configuration needs")
        if depth > DEEPEST:
            self._refuse(event, f"is nested more than {DEEPEST} deep, which no configuration is")
        if isinstance(event, yaml.AliasEvent):
            self._refuse(event, f"has the alias *{event.anchor}: write out its value")
        if event.tag is not None and event.tag not in _TAGS and event.tag != "!":
            self._refuse(event, f"has the tag {event.tag}: remove it, values are plain")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, name)
        if isinstance(event, yaml.SequenceStartEvent):
            return [self._value(item, name, depth + 1) for item in self._until(yaml.SequenceEndEvent)]
        mapping: dict[str, Any] = {}
        for key in self._until(yaml.MappingEndEvent):
            if not isinstance(key, yaml.ScalarEvent):
                self._refuse(key, "has a key that is no name")
            if key.value in mapping:
                self._refuse(key, f"has the key {key.value!r} twice: remove one of them")
            below = f"{name}.{key.value}" if name else key.value
            mapping[key.value] = self._value(next(self._events), below, depth + 1)
        return mapping

    def _until(self, end: type) -> Iterator[Any]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _scalar(self, event: Any, name: str) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            tag = self._scalars.resolve(yaml.ScalarNode, event.value, event.implicit)
            if event.implicit[0] and tag != _NULL and self._is_text(name):
                tag = _TEXT
        try:
            return self._scalars.construct_object(yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError, yaml.YAMLError):
            self._refuse(event, f"{name} = {event.value[:40]!r} cannot be read as {tag.rpartition(':')[2]}")

    def _refuse(self, event: Any, problem: str) -> NoReturn:
        raise ConfigError(f"{self._shown}: line {event.start_mark.line + 1} {problem}")
