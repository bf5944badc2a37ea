"""Bounded reading of untrusted JSON, checked against types, with errors of one line.

A type is a dataclass or TypedDict of types, `dict[str, T]`, `list[T]`, `Literal`, a union of them, or `int`,
`float`, `str`, `bool`, `None`, `Any`. `Annotated[T, Bounds(...)]` limits a number, or the length of a text or
list. Numbers are finite unless their bounds say otherwise; integers are converted to `float` where required.
Fields of a dataclass with a default and fields marked NotRequired may be missing. Unknown entries are kept by
a TypedDict, and dropped by a dataclass.
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
"""Default maximum size of a document."""
MAX_CONTAINERS = 2**22
"""Maximum number of lists and objects, each of which takes up to 100 bytes of memory for two of text."""
MAX_DEPTH = 64
"""Maximum nesting depth of lists and objects."""
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
    """Unusable document; the message names file, field, value and remedy."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Limits of a number, or of the length of a text or list; `above` is exclusive.

    `finite=False` allows infinity and NaN, to which no limit applies.
    """

    low: int | float = -math.inf
    above: int | float = -math.inf
    high: int | float = math.inf
    finite: bool = True

    def refusal(self, number: int | float, word: str) -> str | None:
        """Describe the violated limit; None if the number is within bounds."""
        if number < self.low:
            return f"less than {self.low:g}{word}"
        if number <= self.above and self.above > -math.inf:
            return f"not more than {self.above:g}{word}"
        return f"more than {self.high:g}{word}" if number > self.high else None


class _Misfit(Exception):
    """Value of a wrong type; the message names the field and the problem."""


def read(path: str | Path, kind: Any, *, remedy: str, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file.

    Args:
        path: path of the file.
        kind: expected type, see the module.
        remedy: advice at the end of error messages.
        max_bytes: maximum size of the file.

    Raises:
        DocumentError: the file is too large, invalid JSON, or of another type.
        OSError: the file cannot be read.
    """
    with Path(path).open("rb") as file:
        content = file.read(max_bytes + 1)
    return parse(content, kind, source=str(path), remedy=remedy, max_bytes=max_bytes)


def parse(content: bytes, kind: Any, *, source: str, remedy: str, max_bytes: int = MAX_BYTES) -> Any:
    """Parse the bytes of a JSON file like `read`; `source` names it in messages."""
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
    """Convert parsed JSON to the type `kind`, like `read`.

    Raises:
        DocumentError: the value is of another type.
    """
    try:
        return _checked(value, kind, "")
    except _Misfit as error:
        raise DocumentError(f"{source}: {error}: {remedy}") from None


def one_line(error: BaseException) -> str:
    """Message of an exception in one line; its type's name if the message is empty."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(value: Any) -> str:
    """Format a value for messages, in one line and truncated."""
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
        children = (c for parent in level for c in (parent.values() if isinstance(parent, dict) else parent))
        level = [child for child in children if isinstance(child, dict | list)]
    return depth


def _checked(value: Any, kind: Any, field: str) -> Any:
    bounds = Bounds()
    if get_origin(kind) is Annotated:
        kind, *metadata = get_args(kind)
        bounds = next((entry for entry in metadata if isinstance(entry, Bounds)), bounds)
    origin = get_origin(kind) or kind
    if kind is Any:
        return value
    if origin in (Union, UnionType):
        return _checked_union(value, kind, field)
    if origin is Literal:
        if _is_one_of(value, get_args(kind)):
            return value
        raise _wrong(value, field, f"one of {', '.join(map(shown, get_args(kind)))}")
    if is_typeddict(kind) or is_dataclass(kind):
        return _checked_fields(value, kind, field)
    if origin is dict:
        items = _require_type(dict, value, field).items()
        return {key: _checked(item, get_args(kind)[1], _below(field, key)) for key, item in items}
    if origin is list:
        _limited(value, bounds, field, len(_require_type(list, value, field)), " items")
        return [_checked(item, get_args(kind)[0], f"{field}[{i}]") for i, item in enumerate(value)]
    return _checked_plain(value, kind, field, bounds)


def _checked_plain(value: Any, kind: Any, field: str, bounds: Bounds) -> Any:
    _require_type(kind, value, field)
    if kind is str:
        _limited(value, bounds, field, len(value), " characters")
    elif kind in (int, float):
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise _wrong(value, field, "a number of at most 64 bits")
        if bounds.finite and not math.isfinite(value):
            raise _wrong(value, field, "a finite number")
        _limited(value, bounds, field, value, "")
    return float(value) if kind is float else value


def _checked_union(value: Any, kind: Any, field: str) -> Any:
    """Convert to the first matching member; for `T | None`, errors are those of T."""
    members = get_args(kind)
    for member in members:
        try:
            return _checked(value, member, field)
        except _Misfit as error:
            if len(members) == 2 and NoneType in members and member is not NoneType and value is not None:
                raise error from None
    raise _wrong(value, field, " or ".join(_words(member) for member in members))


def _checked_fields(value: Any, kind: Any, field: str) -> Any:
    content = _require_type(dict, value, field)
    hints = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        required = kind.__required_keys__
    else:
        init = [entry for entry in fields(kind) if entry.init]
        hints = {entry.name: hints[entry.name] for entry in init}
        required = {f.name for f in init if f.default is MISSING and f.default_factory is MISSING}
    if missing := next((name for name in hints if name in required and name not in content), None):
        raise _Misfit(f"{_below(field, missing)} is missing")
    known = dict(_entries(content, hints, field))
    return {**content, **known} if is_typeddict(kind) else kind(**known)


def _entries(content: Mapping[str, Any], hints: Mapping[str, Any], field: str) -> Iterator[tuple[str, Any]]:
    for name, kind in hints.items():
        if name in content:
            yield name, _checked(content[name], _unwrapped(kind), _below(field, name))


def _unwrapped(kind: Any) -> Any:
    """Remove NotRequired and Required from a type."""
    return get_args(kind)[0] if str(get_origin(kind)).endswith("Required") else kind


def _require_type(kind: Any, value: Any, field: str) -> Any:
    """Return the value if it is of a plain type; booleans are no numbers."""
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
