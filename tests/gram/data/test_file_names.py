"""Labels find their file also where the name is written a little differently, or are refused by name."""

import time
import unicodedata
from pathlib import Path

import pytest

from gram.data.file_names import resolve_files
from gram.data.format import DatasetError

NFC, NFD = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))


class Names:
    """Files that are only names."""

    def __init__(self, *names: str) -> None:
        self.names = frozenset(names)

    def has(self, name: str) -> bool:
        return name in self.names

    def read(self, name: str, *, max_bytes: int = 0) -> bytes:
        raise AssertionError


@pytest.mark.parametrize(
    ("told", "file"),
    [
        ("a/x.png", "a/x.png"),
        ("./a/x.png", "a/x.png"),
        ("a//x.png", "a/x.png"),
        ("a/b/../x.png", "a/x.png"),
        ("a\\x.png", "a/x.png"),
        ("A/X.PNG", "a/x.png"),
        (NFC, NFD),
        (NFD, NFD),
        (NFC.upper(), NFD),
    ],
)
def test_a_name_written_differently_is_matched(told: str, file: str) -> None:
    assert resolve_files([told], Names("a/x.png", "y.png", NFD), Path("set")) == [file]


def test_a_file_of_that_very_name_goes_before_those_that_differ_by_case() -> None:
    assert resolve_files(["x.png", "X.png"], Names("x.png", "X.png"), Path("set")) == ["x.png", "X.png"]


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        (["X.Png"], "names X.Png, which exists only as X.png and x.png: write one of them"),
        (["x.png", "./x.png"], "lists x.png more than once, as x.png and ./x.png"),
        (["x.png", "x.png"], "lists x.png more than once$"),
        (["y.png"], "1 of the 1 images .* the first is y.png"),
        (["../x.png"], "names '../x.png', which is no file of the data set"),
        (["/x.png"], "names '/x.png', which is no file of the data set"),
        ([""], "names '', which is no file of the data set"),
        (["x\ny.png"], r"names 'x\\ny.png': rename it without control characters"),
    ],
)
def test_a_name_that_stands_for_no_file_or_several_is_refused(told: list[str], problem: str) -> None:
    with pytest.raises(DatasetError, match=problem):
        resolve_files(told, Names("x.png", "X.png"), Path("set"))


def test_a_duplicate_among_many_is_found_in_a_moment() -> None:
    names = [f"{i}.png" for i in range(60_000)]
    begin = time.process_time()
    with pytest.raises(DatasetError, match=r"lists 59999.png more than once"):
        resolve_files([*names, names[-1]], Names(*names), Path("set"))
    assert time.process_time() - begin < 3.0
