"""An editable install serves from any directory, that which holds the clone included."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_editable(sys.argv[1]))"
IMPORT = """
import site, sys
site.addsitedir(sys.argv[1])  # what was installed
sys.path.append(sys.argv[2])  # what it needs, without this project's own install
import gram.data.reader, pipeline.train
print(gram.__file__)
"""


def run(folder: Path, *command: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the name that the README gives it."""
    folder = tmp_path_factory.mktemp("projects") / "gram"
    for name in ("gram", "pipeline", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("README.md", "LICENSE", "Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_folder_that_holds_the_clone_hides_no_package(clone: Path, tmp_path: Path) -> None:
    """There, `gram` is a folder without __init__.py, which Python takes before what a finder would find."""
    wheel = tmp_path / run(clone, "-c", BUILD, str(tmp_path))
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    needed = sysconfig.get_path("purelib")
    for folder in (clone.parent, clone, tmp_path):
        found = run(folder, "-S", "-c", IMPORT, str(installed), needed)
        assert found == str(clone / "gram/__init__.py")


def test_make_run_works_in_a_copy_without_git(clone: Path) -> None:
    """As far as its first stage, and to the summary, which misses the others."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    (clone / "dvc.yaml").write_text(
        yaml.safe_dump({"stages": {name: stages[name] for name in ("source", "prepare")}}), encoding="utf-8"
    )
    shutil.copyfile(ROOT / "conf/experiment/tiny.yaml", clone / "params.yaml")
    (clone / ".dvc").mkdir()
    shutil.copyfile(ROOT / ".dvc/config", clone / ".dvc/config")
    (clone / ".venv").mkdir()
    (clone / ".venv/.installed").touch()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone)}
    done = subprocess.run(
        ["make", "run"], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert "not a git repository" not in done.stderr, done.stderr
    assert (clone / "dvc.lock").exists()
    assert (clone / "data/train/meta.json").exists()
    assert "runs/report.html   (missing)" in done.stdout
