"""JSON from outside comes back as its type says, or as one line that names file, field, value and remedy."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from gram.system.documents import Bounds, DocumentError, check, parse, read

REMEDY = "copy it again"


@dataclass(frozen=True)
class Part:
    name: Annotated[str, Bounds(high=8)]
    share: Annotated[float, Bounds(above=0, high=1)] = 0.5
    tags: list[str] = field(default_factory=list)


class Whole(TypedDict):
    kind: Literal["a", "b"]
    count: Annotated[int, Bounds(low=1, high=9)]
    part: NotRequired[Part | None]
    numbers: NotRequired[dict[str, Annotated[float, Bounds(finite=False)]]]
    on: NotRequired[bool]


def whole(content: bytes) -> Any:
    return parse(content, Whole, source="f.json", remedy=REMEDY)


def test_a_document_comes_back_as_its_type_with_entries_that_no_type_names() -> None:
    content = {"kind": "a", "count": 3, "part": {"name": "x", "unknown": 1}, "more": [1]}
    assert whole(json.dumps(content).encode()) == {**content, "part": Part("x")}
    assert whole(b'{"kind": "a", "kind": "b", "count": 1}') == {"kind": "b", "count": 1}
    assert math.isnan(whole(b'{"kind": "a", "count": 1, "numbers": {"x": NaN}}')["numbers"]["x"])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"kind": "c"}, "kind is 'c', not one of 'a', 'b'"),
        ({"kind": ["a"]}, "kind is a list of 1 item, not one of 'a', 'b'"),
        ({"count": 10}, "count is 10, more than 9"),
        ({"count": 0}, "count is 0, less than 1"),
        ({"count": True}, "count is true, not a whole number"),
        ({"count": 2.0}, "count is 2.0, not a whole number"),
        ({"count": 10**400}, "count is a whole number beyond 64 bits, not a number of at most 64 bits"),
        ({"on": 1}, "on is 1, not true or false"),
        ({"part": {}}, "part.name is missing"),
        ({"part": 3}, "part is 3, not an object"),
        ({"part": {"name": "x", "share": 0}}, "part.share is 0, not more than 0"),
        ({"part": {"name": "x", "share": math.nan}}, "part.share is nan, not a finite number"),
        ({"part": {"name": "x" * 99}}, f"part.name is '{'x' * 59}..., more than 8 characters"),
        ({"part": {"name": "x", "tags": ["y", None]}}, "part.tags[1] is null, not a text"),
        ({"numbers": {"a\nb": "c\nd"}}, r"numbers.'a\nb' is 'c\nd', not a number"),
    ],
)
def test_a_field_of_the_wrong_type_or_size_is_named(changes: dict[str, Any], problem: str) -> None:
    content = json.dumps({"kind": "a", "count": 3} | changes).encode()
    with pytest.raises(DocumentError) as error:
        whole(content)
    assert str(error.value) == f"f.json: {problem}: {REMEDY}"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no JSON: Expecting value"),
        (b"{half", "no JSON"),
        (b"\xff\xfe\x00", "no JSON: no text at byte"),
        (b"[" * 100_000, "nested more than 64 deep"),
        (b'{"a":' * 100_000, "nested more than 64 deep"),
        (b"[" * 65 + b"]" * 65, "nested more than 64 deep"),
        (b"1" * 5000, "more digits than can be read"),
        (b"[" + b"[]," * 2**22, "more than 4,194,304 lists"),
        (b" " * (2**24 + 1), "more than 16,777,216 bytes"),
    ],
)
def test_what_is_no_document_or_too_much_of_one_is_said_to_be(content: bytes, problem: str) -> None:
    with pytest.raises(DocumentError) as error:
        whole(content)
    message = str(error.value)
    assert message.startswith("f.json cannot be read (it ") and message.endswith(f": {REMEDY}")
    assert problem in message and "\n" not in message


def test_no_more_of_a_file_is_read_than_it_may_have(tmp_path: Path) -> None:
    file = tmp_path / "f.json"
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(DocumentError, match=r"f.json cannot be read .it has more than 1,024 bytes."):
        read(file, Any, remedy=REMEDY, max_bytes=1024)
    file.write_text('["x"]')
    assert read(file, list[str], remedy=REMEDY) == ["x"]


def test_values_that_were_read_otherwise_are_checked_alike() -> None:
    assert check(None, int | str | None, source="params.yaml", remedy=REMEDY) is None
    with pytest.raises(DocumentError, match=r"params.yaml: it is 1.5, not a whole number or a text: copy"):
        check(1.5, int | str, source="params.yaml", remedy=REMEDY)
