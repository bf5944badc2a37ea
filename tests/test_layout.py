"""Layout of the code: few entries a folder, each package described, no path in the docs that is gone."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

import gram

ROOT = Path(__file__).parents[1]
LIMITS = {"gram": 13, "pipeline": 18}
"""Most entries of a package; 12 where it is not listed."""
UNCOUNTED = {"__init__.py", "__main__.py", "__pycache__", "py.typed"}
PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix() for top in LIMITS for path in (ROOT / top).rglob("__init__.py")
)
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", *sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")
)]  # fmt: skip


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_few_entries_and_says_what_lies_in_it(package: str) -> None:
    entries = {path.name for path in (ROOT / package).iterdir()} - UNCOUNTED
    assert len(entries) <= LIMITS.get(package, 12), sorted(entries)
    assert ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_bytes()))


def test_every_folder_with_code_is_a_package() -> None:
    folders = {
        path.parent.relative_to(ROOT).as_posix() for top in LIMITS for path in (ROOT / top).rglob("*.py")
    }
    assert folders == set(PACKAGES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_of_the_code_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w/.])(?:gram|pipeline|tests|conf|scripts|benchmarks)/[\w./-]*\w", text)
    there = [path for path in named if not re.search(r"[A-Z]{4}|^gram/(data|runs|checkpoints|sweeps)", path)]
    assert [path for path in there if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_modules_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for name in re.findall(r"\b(?:gram|pipeline)(?:\.[a-z_]+)+", text):
        top, *inner = name.split(".")
        places = [ROOT.joinpath(top, *inner[:count]) for count in range(1, len(inner) + 1)]
        found = [place.is_dir() or place.with_suffix(".py").exists() for place in places]
        # The last part may be a name in the module; those of gram itself are exported.
        assert (found[0] and all(found[:-1])) or inner[0] in gram.__all__, name


def test_no_module_imports_itself_by_others() -> None:
    graph = grimp.build_graph(*LIMITS)
    sorter = TopologicalSorter(
        {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    )
    sorter.prepare()  # raises CycleError, which names the circle
