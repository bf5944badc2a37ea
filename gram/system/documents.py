"""JSON that others wrote, or a fault damaged: read within bounds, checked against types, refused in one line.

A type is a dataclass or TypedDict of types, `dict[str, T]`, `list[T]`, `Literal`, a union of them, or `int`,
`float`, `str`, `bool`, `None`, `Any`. `Annotated[T, Bounds(...)]` limits a number, or the length of a text or
list. Numbers are finite unless their bounds say otherwise; a whole number becomes a `float` where one is
wanted. Fields of a dataclass with a default and fields marked NotRequired may be missing. What no type names
is kept by a TypedDict, and dropped by a dataclass.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

MAX_BYTES = 2**24
"""Of a document, unless a caller allows more."""
MAX_CONTAINERS = 2**22
"""Lists and objects in a document: each takes up to a hundred bytes of memory for two of text."""
MAX_DEPTH = 64
"""Lists and objects within each other."""
MAX_INTEGER = 2**63 - 1
SHOWN_CHARACTERS = 60
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    NoneType: "null",
    list: "a list",
    dict: "an object",
}


class DocumentError(ValueError):
    """A document that cannot be used; the message names file, field, value and remedy."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of a number, or of the length of a text or list; `above` is itself no value.

    `finite=False` allows NaN, which then passes every limit, and infinity.
    """

    low: int | float = -math.inf
    above: int | float = -math.inf
    high: int | float = math.inf
    finite: bool = True

    def refusal(self, number: int | float, word: str) -> str | None:
        """The limit that a number passes, in words; None if it passes none."""
        if number < self.low:
            return f"less than {self.low:g}{word}"
        if number <= self.above and self.above > -math.inf:
            return f"not more than {self.above:g}{word}"
        return f"more than {self.high:g}{word}" if number > self.high else None


class _Misfit(Exception):
    """A value that is not of its type: the field, and what is wrong with it."""


def read(path: str | Path, kind: Any, *, remedy: str, max_bytes: int = MAX_BYTES) -> Any:
    """The content of a JSON file.

    Args:
        path: of the file.
        kind: its type, see the module.
        remedy: what to do where it cannot be used, the end of the message.
        max_bytes: larger files are not read.

    Raises:
        DocumentError: it is larger, no JSON, or not of that type.
        OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        content = file.read(max_bytes + 1)
    return parse(content, kind, source=str(path), remedy=remedy, max_bytes=max_bytes)


def parse(content: bytes, kind: Any, *, source: str, remedy: str, max_bytes: int = MAX_BYTES) -> Any:
    """As `read`, of a file's bytes; `source` names it in messages."""
    try:
        if len(content) > max_bytes:
            raise _Misfit(f"it has more than {max_bytes:,} bytes")
        if content.count(b"[") + content.count(b"{") > MAX_CONTAINERS:
            raise _Misfit(f"it has more than {MAX_CONTAINERS:,} lists and objects")
        value = _parsed(content)
        if _depth(value) > MAX_DEPTH:
            raise _Misfit(f"it is nested more than {MAX_DEPTH} deep")
    except _Misfit as error:
        raise DocumentError(f"{source} cannot be read ({error}): {remedy}") from None
    return check(value, kind, source=source, remedy=remedy)


def check(value: Any, kind: Any, *, source: str, remedy: str) -> Any:
    """A value of plain lists, dicts, texts and numbers as `kind`, as `read` returns it.

    Raises:
        DocumentError: it is not of that type.
    """
    try:
        return _checked(value, kind, "")
    except _Misfit as error:
        raise DocumentError(f"{source}: {error}: {remedy}") from None


def one_line(error: BaseException) -> str:
    """What an exception says, in one line; its name where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: Any) -> str:
    """A value as messages name it: in one line, and cut where it is long."""
    if isinstance(value, list | dict):
        items = f"{len(value)} item{'' if len(value) == 1 else 's'}"
        return f"{_WORDS[list if isinstance(value, list) else dict]} of {items}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_INTEGER:
        return "a whole number beyond 64 bits"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise _Misfit(f"it is nested more than {MAX_DEPTH} deep") from None
    except UnicodeDecodeError as error:
        raise _Misfit(f"it is no JSON: no text at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _Misfit(f"it is no JSON: {error}") from None
    except ValueError:  # of int()
        raise _Misfit("it holds a number of more digits than can be read") from None


def _depth(value: Any) -> int:
    depth, level = 0, [value] if isinstance(value, dict | list) else []
    while level:
        depth += 1
        children = (child for one in level for child in (one.values() if isinstance(one, dict) else one))
        level = [child for child in children if isinstance(child, dict | list)]
    return depth


def _checked(value: Any, kind: Any, field: str) -> Any:
    bounds = Bounds()
    if get_origin(kind) is Annotated:
        kind, *told = get_args(kind)
        bounds = next((one for one in told if isinstance(one, Bounds)), bounds)
    origin = get_origin(kind) or kind
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _of_union(value, kind, field)
    if origin is Literal:
        if _is_one_of(value, get_args(kind)):
            return value
        raise _wrong(value, field, f"one of {', '.join(map(shown, get_args(kind)))}")
    if is_typeddict(kind) or is_dataclass(kind):
        return _of_fields(value, kind, field)
    if origin is dict:
        item = get_args(kind)[1]
        return {key: _checked(one, item, _below(field, key)) for key, one in _a(dict, value, field).items()}
    if origin is list:
        _limited(value, bounds, field, len(_a(list, value, field)), " items")
        return [_checked(one, get_args(kind)[0], f"{field}[{i}]") for i, one in enumerate(value)]
    return _of_plain(value, kind, field, bounds)


def _of_plain(value: Any, kind: Any, field: str, bounds: Bounds) -> Any:
    _a(kind, value, field)
    if kind is str:
        _limited(value, bounds, field, len(value), " characters")
    elif kind in (int, float):
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise _wrong(value, field, "a number of at most 64 bits")
        if bounds.finite and not math.isfinite(value):
            raise _wrong(value, field, "a finite number")
        _limited(value, bounds, field, value, "")
    return float(value) if kind is float else value


def _of_union(value: Any, kind: Any, field: str) -> Any:
    """The first member whose sort of value it is decides; what is wrong inside of it is told."""
    members = get_args(kind)
    for member in members:
        try:
            return _checked(value, member, field)
        except _Misfit as error:
            if len(members) == 2 and NoneType in members and member is not NoneType and value is not None:
                raise error from None
    raise _wrong(value, field, " or ".join(_words(member) for member in members))


def _of_fields(value: Any, kind: Any, field: str) -> Any:
    content = _a(dict, value, field)
    hints = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        required = kind.__required_keys__
    else:
        own = [one for one in fields(kind) if one.init]
        hints = {one.name: hints[one.name] for one in own}
        required = {one.name for one in own if one.default is MISSING and one.default_factory is MISSING}
    if missing := next((name for name in hints if name in required and name not in content), None):
        raise _Misfit(f"{_below(field, missing)} is missing")
    known = dict(_entries(content, hints, field))
    return {**content, **known} if is_typeddict(kind) else kind(**known)


def _entries(content: Mapping[str, Any], hints: Mapping[str, Any], field: str) -> Iterator[tuple[str, Any]]:
    for name, kind in hints.items():
        if name in content:
            yield name, _checked(content[name], _bare(kind), _below(field, name))


def _bare(kind: Any) -> Any:
    """Without NotRequired and Required."""
    return get_args(kind)[0] if str(get_origin(kind)).endswith("Required") else kind


def _a(kind: Any, value: Any, field: str) -> Any:
    """The value, if it is of a plain type; true and false are no numbers."""
    types = (int, float) if kind is float else kind
    if isinstance(value, types) and not (isinstance(value, bool) and kind is not bool):
        return value
    raise _wrong(value, field, _WORDS[kind])


def _is_one_of(value: Any, choices: tuple[Any, ...]) -> bool:
    return any(value == choice and type(value) is type(choice) for choice in choices)


def _limited(value: Any, bounds: Bounds, field: str, number: int | float, word: str) -> None:
    if refusal := bounds.refusal(number, word):
        raise _Misfit(f"{field or 'it'} is {shown(value)}, {refusal}")


def _wrong(value: Any, field: str, wanted: str) -> _Misfit:
    return _Misfit(f"{field or 'it'} is {shown(value)}, not {wanted}")


def _words(kind: Any) -> str:
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    kind = NoneType if kind is None else kind
    return _WORDS.get(get_origin(kind) or kind, "an object")


def _below(field: str, name: str) -> str:
    plain = name if re.fullmatch(r"[\w./-]{1,60}", name) else shown(name)
    return f"{field}.{plain}" if field else plain
