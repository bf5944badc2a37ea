"""Examples in docstrings run, and what a notebook needs is exported and has one."""

import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import gram

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(gram.__path__, "gram.")
    if not module.ispkg
    if ">>> " in (ROOT / module.name.replace(".", "/")).with_suffix(".py").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0 and result.attempted > 0


def test_there_are_many_examples() -> None:
    found = sum(
        ">>> " in (inspect.getdoc(member) or "")
        for name in MODULES
        for module in [importlib.import_module(name)]
        for _, owner in inspect.getmembers(module)
        if getattr(owner, "__module__", None) == name
        for member in [owner, *(vars(owner).values() if inspect.isclass(owner) else [])]
    )
    assert found >= 15


@pytest.mark.parametrize("name", gram.__all__)
def test_what_is_exported_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(gram, name))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'render_everything'"):
        gram.render_everything  # type: ignore[attr-defined] # noqa: B018
