"""Docstrings begin with a noun or a verb of the field, and both packages speak of images."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = [path.parent for top in ("gram", "pipeline") for path in sorted((ROOT / top).rglob("__init__.py"))]
NO_FIRST_WORDS = {
    *("What", "Whether", "Where", "How", "Which"),
    *("Of", "From", "In", "To", "At", "For", "With", "Those"),
}
ON_DISK = {
    "other real pictures",
    "whole_picture_",
    '"pictures": len(order)',
    "Pictures are generated",
    '"picture"',
    "picture: NotRequired[str]",
}
"""Names and values in files on disk that keep an old word: metrics, protocols, data/source, tracking.json."""


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Lines and texts of the docstrings of modules, classes, functions and constants."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:  # that of a lambda is an expression
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    yield statement.lineno, text.strip()


def name(package: Path) -> str:
    """Path of a package relative to the root."""
    return package.relative_to(ROOT).as_posix()


def test_every_kind_of_docstring_is_found() -> None:
    function = '    def f(self):\n        """f"""\n'
    source = f'"""M"""\nX = 1\n"""X"""\nclass C:\n    """C"""\n    y: int\n    """y"""\n{function}'
    assert {text for _, text in docstrings(source)} == {"M", "X", "C", "y", "f"}


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_docstrings_begin_with_a_noun_or_a_verb(package: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in sorted(package.glob("*.py"))
        for line, text in docstrings(path.read_text(encoding="utf-8"))
        if (word := re.match(r"\w+", text)) and word[0] in NO_FIRST_WORDS
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", PACKAGES, ids=name)
def test_both_packages_speak_of_images(package: Path) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted(package.glob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "picture" in line.lower() and not any(value in line for value in ON_DISK)
    ]
    assert not found, "\n".join(found)
