"""Import closure of modules, from the import statements in their source."""

import ast
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path


def import_closure(roots: Sequence[str], project: Path, *, follow: Callable[[str], bool]) -> dict[str, Path]:
    """Collect modules that `roots` import, directly or through others, anywhere in a file.

    Args:
        roots: dotted names of modules below `project`.
        project: folder with the top-level packages.
        follow: True for dotted names that belong to the closure; roots always do.

    Returns:
        Files by dotted name, sorted by name. A package stands for its `__init__.py`.

    Raises:
        FileNotFoundError: a root is no module of the project.
    """
    found: dict[str, Path] = {}
    open_names = list(roots)
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        file = _file_of(name, project)
        if file is None:
            raise FileNotFoundError(f"{name}: no such module in {project}")
        found[name] = file
        imported = [part for one in _imports(name, file) for part in _with_packages(one)]
        open_names += [one for one in imported if follow(one) and _file_of(one, project) is not None]
    return dict(sorted(found.items()))


def _file_of(name: str, project: Path) -> Path | None:
    place = project.joinpath(*name.split("."))
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


def _with_packages(name: str) -> list[str]:
    """Names of a module and its packages, whose `__init__` runs first."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _imports(name: str, file: Path) -> Iterator[str]:
    """Dotted names that a module imports; `from a import b` gives both a and a.b."""
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
