"""Findings of checks, and their report."""

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

Write = Callable[[str], None]

NAME_WIDTH = 18


@dataclass(frozen=True)
class Fact:
    """Fact about the machine or the data; text of several lines is a drawing."""

    name: str
    text: str


@dataclass(frozen=True)
class Caution:
    """Caution that does not prevent training."""

    text: str


@dataclass(frozen=True)
class Problem:
    """Problem, with a remedy if the text has none."""

    text: str
    remedy: str = ""


Finding = Fact | Caution | Problem
Checks = Mapping[str, Iterator[Finding]]
"""Findings by title, computed on iteration."""


class Outcome(NamedTuple):
    """Titles of checks with problems, and number of cautions."""

    wrong: list[str]
    cautions: int


def report(checks: Checks, write: Write) -> Outcome:
    """Run each check to its end or first error, and print findings as they are made."""
    wrong: list[str] = []
    cautions = 0
    for title, findings in checks.items():
        write(f"{title}\n")
        for finding in _whatever_happens(findings):
            write(_printed(finding))
            cautions += isinstance(finding, Caution)
            if isinstance(finding, Problem) and title not in wrong:
                wrong.append(title)
        write("\n")
    return Outcome(wrong, cautions)


def _whatever_happens(findings: Iterator[Finding]) -> Iterator[Finding]:
    """Iterate over findings, with an error as a problem, so that other checks still run."""
    try:
        yield from findings
    except ImportError as error:
        yield Problem(str(error), f"pip install {error.name or 'it'}")
    except (ValueError, OSError) as error:
        yield Problem(str(error))  # messages of this program end with a remedy
    except Exception as error:
        yield Problem(
            f"the check itself failed\n{''.join(traceback.format_exception(error)).rstrip()}",
            "report this defect of the program",
        )


def _printed(finding: Finding) -> str:
    match finding:
        case Fact(name, text):
            return _entry(name, text)
        case Caution(text):
            return _entry("note:", text)
        case Problem(text, remedy):
            return _entry("WRONG:", text) + (_entry("  do:", remedy) if remedy else "")


def _entry(name: str, text: str) -> str:
    first, *rest = text.splitlines() or [""]
    indent = " " * (NAME_WIDTH + 3)
    return f"  {name:{NAME_WIDTH}} {first}\n" + "".join(f"{indent}{line}\n".rstrip(" ") for line in rest)
