"""The checks themselves work: a wrong shape fails, a warning fails, a forbidden import fails."""

import ast
import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import torch

from gram.geometry.poses import mirror_poses
from gram.rendering.compositing import composite

ROOT = Path(__file__).parents[1]


def test_a_wrong_shape_fails() -> None:
    with pytest.raises(Exception, match="Type-check error") as error:
        mirror_poses(torch.zeros(4, 3))
    assert type(error.value).__module__.startswith("jaxtyping")


def test_shapes_that_disagree_with_each_other_fail() -> None:
    with pytest.raises(Exception, match="Type-check error"):
        composite(torch.zeros(2, 5), torch.zeros(2, 4, 3), torch.zeros(2, 5), far=1.0)


def test_a_warning_fails() -> None:
    with pytest.raises(UserWarning, match="canary"):
        warnings.warn("canary", stacklevel=1)


def test_every_direct_dependency_is_locked() -> None:
    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    wanted = {plain(re.split(r"[\[<>=~! ]", name)[0]) for group in groups for name in group}
    lines = (ROOT / "requirements.lock").read_text().split()
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[^@/]+", line) for line in lines)
    assert wanted - {"gram-manifolds"} <= {plain(line.split("==")[0]) for line in lines}


def _texts_without_encoding(program: str) -> list[int]:
    """Lines that read or write text in the encoding of the locale."""
    found = []
    for node in ast.walk(ast.parse(program)):
        if not isinstance(node, ast.Call) or any(keyword.arg == "encoding" for keyword in node.keywords):
            continue
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        modes = [word.value for word in node.args if isinstance(word, ast.Constant)]
        opens = name == "open" and not re.match(r"(Image|archive|os|pillow|tarfile|webbrowser)\.", called)
        as_text = opens and not any("b" in mode for mode in modes if isinstance(mode, str) and len(mode) < 4)
        decodes = any(keyword.arg == "text" for keyword in node.keywords)
        if as_text or decodes or (name == "read_text" and not node.args) or name == "write_text":
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("package", ["gram", "pipeline", "scripts"])
def test_every_text_file_has_its_encoding_named(package: str) -> None:
    """Under LC_ALL=POSIX others could not hold what the program writes; ruff sees fewer of them."""
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in _texts_without_encoding(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_an_encoding_that_is_not_named_is_seen() -> None:
    lines = ["p.read_text()", "p.write_text(x)", "open(p)", "p.open('a')", "run(['git'], text=True)"]
    assert _texts_without_encoding("\n".join(lines)) == [1, 2, 3, 4, 5]
    fine = [
        "p.read_text('utf-8')",
        "open(p, 'rb')",
        "p.open('ab')",
        "os.open(p, 0)",
        "open(p, encoding='utf-8')",
    ]
    assert _texts_without_encoding("\n".join(fine)) == []


def test_gram_imports_nothing_heavy_and_no_orchestration() -> None:
    program = "import sys, gram; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    heavy = {
        "hydra",
        "omegaconf",
        "mlflow",
        "dvc",
        "ray",
        "embreex",
        "trimesh",
        "skimage",
        "torch_fidelity",
        "rich",
    }
    assert loaded & {*heavy, "matplotlib", "PIL", "imageio"} == set()
