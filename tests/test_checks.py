"""The checks themselves work: a wrong shape fails, a warning fails, a forbidden import fails."""

import re
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
import torch

from gram.compositing import composite
from gram.poses import mirror_poses

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
