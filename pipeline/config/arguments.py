"""Command-line arguments: option=value, group=preset.

Text options take the text as typed, without quotes around the whole; `null` is None for optional ones. All
others follow Hydra's grammar: numbers, true and false, null, lists as [1,2].
"""

import re
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override

from pipeline.config.options import ConfigError, all_options, shown
from pipeline.config.schema import GROUPS, Config

COMMAND_LINE = "command line"
LONGEST = 20_000
"""Maximum characters of a value that is no text: about 4,000 numbers."""
_NAMES = (*GROUPS, "experiment", "sweep")
"""Keys whose value names a file of conf/."""


def assignments(arguments: Sequence[str], schema: type = Config) -> list[tuple[str, Any]]:
    """Parse arguments of the form key=value; ConfigError names one of another form."""
    return [_read(argument, schema) for argument in arguments]


def assignment(key: str, value: object) -> str:
    """Format the argument that `assignments` parses to key and value."""
    return f"{key}={_written(value)}"


def unquoted(text: str, where: str) -> str:
    """Remove quotes around a text, if any; ConfigError if there are unescaped quotes inside."""
    quote = text[:1]
    if quote not in ("'", '"') or len(text) < 2 or text[-1] != quote:
        return text
    inner = text[1:-1]
    for slashes in re.findall(rf"(\\*){quote}", inner):
        if len(slashes) % 2 == 0:
            remedy = f"remove the first and the last, or write \\{quote} for those between"
            raise ConfigError(f"{where}: quotes begin and end it, with more between: {remedy}")
    if (len(inner) - len(inner.rstrip("\\"))) % 2:
        return text  # the last quote is escaped, so that both belong to the text
    return re.sub(rf"(\\+)({quote}|$)", lambda end: end[1][: len(end[1]) // 2] + end[2], inner)


def _written(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), value)
            return f"'{quoted}'"
        case list() | tuple():
            return f"[{','.join(map(_written, value))}]"
        case _:
            return repr(value)


def _read(argument: str, schema: type) -> tuple[str, Any]:
    key, equals, text = argument.partition("=")
    if equals and key in _NAMES:
        return key, unquoted(text, _where(argument))
    option = all_options(schema).get(key)
    if equals and option is not None and option.is_text:
        return key, None if text == "null" and option.is_optional else unquoted(text, _where(argument))
    override = _parsed(argument)
    return override.key_or_group, override.value()


def _parsed(argument: str) -> Override:
    """Parse an argument by Hydra's grammar."""
    where = _where(argument)
    if len(argument) > LONGEST:
        raise ConfigError(f"{where} has more than {LONGEST} characters")
    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
        override.value()
        if not override.key_or_group:
            raise ValueError("no name")
    except Exception:  # of Hydra, ANTLR, int() and recursion
        forms = "group.option=value, group=preset or experiment=NAME"
        quoting = 'lists are [1,2], with texts in quotes, \'group.option=["a,b","c"]\''
        raise ConfigError(f"{where} is not of the form {forms}; {quoting}") from None
    if override.is_add() or override.is_force_add() or override.is_delete():
        problem = f"options can be set, not added or removed: omit {argument[0]}"
        raise ConfigError(f"{where}: {problem}")
    if override.is_sweep_override():
        raise ConfigError(f"{where} gives several values; one run takes one")
    return override


def _where(argument: str) -> str:
    return f"{COMMAND_LINE}: {shown(argument)}"
