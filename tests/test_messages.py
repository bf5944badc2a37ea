"""Messages in the code: a full stop begins a sentence, and parts are joined by a colon."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = ("pytest", "python")
"""Words of a command, which begin with a small letter also after a full stop, like names of options."""
BAD = re.compile(rf"[\w)}}\]]\.\s(?!(?:{'|'.join(COMMANDS)})\b|\w+[._=/])[a-z]")


def literals(code: str) -> Iterator[str]:
    """String literals of a module without docstrings; {} stands for a value in an f-string."""
    tree = ast.parse(code)
    statements = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "{}"
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node not in statements and node not in inside:
                yield node.value


@pytest.mark.parametrize("package", ["gram", "pipeline"])
def test_no_sentence_begins_with_a_small_letter(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    texts = [(file, text) for file in files for text in literals(file.read_text(encoding="utf-8"))]
    assert len(texts) > 1000
    assert [(str(file), text) for file, text in texts if BAD.search(text)] == []


@pytest.mark.parametrize(
    ("text", "is_bad"),
    [
        ("it has no {}. name a folder", True),
        ("it ended. {} is missing", False),
        ("slower. pytest tests/x tells more", False),
        ("it ends. train.steps=4000 goes on", False),
        ("it has no {}: name a folder. Then run again", False),
    ],
)
def test_the_pattern_finds_joins(text: str, is_bad: bool) -> None:
    assert bool(BAD.search(text)) == is_bad
