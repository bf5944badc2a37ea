"""Every option by its dotted name, and messages for values that it cannot take."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.schema import Config

_PLAIN_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_PLAIN_PLURALS = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says where it stands and what would be right."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One configurable value.

    `name` is dotted, `type` the annotation, `metadata` what `pipeline.schema.option` was given.
    """

    name: str
    type: Any
    metadata: Mapping[str, Any]

    @property
    def expected(self) -> str:
        """The values it takes, in words."""
        if choices := self.metadata["choices"]:
            return "one of " + ", ".join(choices)
        words = _type_in_words(self.type)
        bounds = [
            text.format(self.metadata[key])
            for key, text in (("low", "at least {}"), ("above", "above {}"), ("high", "at most {}"))
            if self.metadata[key] is not None
        ]
        return words + (", " + ", ".join(bounds) if bounds else "")

    def accepts(self, value: object) -> bool:
        """Whether a value of the right type lies within the limits."""
        if value is None:
            return True
        if choices := self.metadata["choices"]:
            return value in choices
        low, above, high = (self.metadata[key] for key in ("low", "above", "high"))
        if not isinstance(value, int | float):
            return True
        limits = [low is None or value >= low, above is None or value > above, high is None or value <= high]
        return all(limits)  # NaN fails every limit there is


@cache
def all_options(schema: type = Config) -> dict[str, Option]:
    """Dotted name -> option, in the order of the schema."""
    return {option.name: option for option in _walk(schema, "")}


def _walk(schema: type, prefix: str) -> Iterator[Option]:
    hints = get_type_hints(schema)
    for field in fields(schema):
        annotation = hints[field.name]
        if is_dataclass(annotation) and isinstance(annotation, type):
            yield from _walk(annotation, f"{prefix}{field.name}.")
        else:
            yield Option(name=prefix + field.name, type=annotation, metadata=field.metadata)


def leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, value) of a nested mapping; an empty mapping has none."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_type(name: str, value: object, source: str, schema: type = Config) -> None:
    """Refuse a name that is no option and a value of the wrong type.

    Raises:
        ConfigError: naming `source`, the option and what it takes.
    """
    option = all_options(schema).get(name)
    if option is None:
        raise ConfigError(_unknown_option(name, value, source, schema))
    if isinstance(value, str) and "${" in value:
        return  # an interpolation: known when everything is composed
    try:
        OmegaConf.update(_typed(schema), name, value)
    except OmegaConfBaseException:
        raise ConfigError(f"{source}: {name} = {_shown(value)}, but it takes {option.expected}") from None


@cache
def _typed(schema: type) -> DictConfig:
    return OmegaConf.structured(schema)  # a place to try values in; building it takes long


def check_limits(name: str, value: object, source: str, schema: type = Config) -> None:
    """Refuse a missing value and one beyond the option's limits.

    Raises:
        ConfigError: naming `source`, the option and what it takes.
    """
    option = all_options(schema)[name]
    if value == MISSING:
        meaning = option.metadata["meaning"]
        raise ConfigError(f"{source}: {name} is not set; it takes {option.expected} ({meaning})")
    if not option.accepts(value):
        hint = suggestion(value, option.metadata["choices"]) if isinstance(value, str) else ""
        raise ConfigError(f"{source}: {name} = {_shown(value)}, but it takes {option.expected}{hint}")


def suggestion(given: str, known: Iterable[str]) -> str:
    """'; did you mean X?' where something known is close, else nothing."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.4)
    return f"; did you mean {close[0]}?" if close else ""


def _unknown_option(name: str, value: object, source: str, schema: type) -> str:
    known = all_options(schema)
    group, _, rest = name.partition(".")
    siblings = [option for option in known if option.startswith(f"{group}.")]
    if siblings and not rest:
        return f"{source}: {name} = {_shown(value)}, but {group} is a section: set {siblings[0]} and so on"
    namesakes = [option for option in known if option.rpartition(".")[2] == name.rpartition(".")[2]]
    hint = suggestion(name, siblings) or suggestion(name, namesakes) or suggestion(name, known)
    return f"{source}: there is no option {name}{hint or '; --help lists them'}"


def _shown(value: object) -> str:
    """As YAML would write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def _type_in_words(annotation: Any) -> str:
    if isinstance(annotation, UnionType):
        inner = [a for a in get_args(annotation) if a is not type(None)]
        return " or ".join(_type_in_words(a) for a in inner) + ", or null"
    if get_origin(annotation) is list:
        return f"a list of {_PLAIN_PLURALS[get_args(annotation)[0]]}"
    return _PLAIN_NAMES[annotation]
