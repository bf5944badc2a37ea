"""A machine with torch, NumPy, Accelerate, Hydra and Pillow trains; benchmarks need no Hydra or Pillow."""

import json
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pipeline.cli.command import main
from pipeline.prepare import stage as prepare

ROOT = Path(__file__).parents[1]
BENCHMARKS = ("torch", "numpy", "accelerate")
TRAINING = (*BENCHMARKS, "hydra-core", "pillow")
REFUSAL = """
import json, runpy, sys

class Bare:  # a finder of modules that does not find the refused ones
    def __init__(self, finder):
        self.finder = finder

    def __getattr__(self, name):
        return getattr(self.finder, name)

    def find_spec(self, name, *where):
        return None if name.partition(".")[0] in refused else self.finder.find_spec(name, *where)

refused = set(json.loads(sys.argv.pop(1)))
sys.meta_path[:] = [Bare(finder) for finder in sys.meta_path]
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    assert not refused & {name.partition(".")[0] for name in sys.modules}
"""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def with_requirements(names: tuple[str, ...]) -> set[str]:
    """Distributions that `pip install` would bring for these, themselves included."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = plain(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            needed = [Requirement(line) for line in requires(name) or []]
        except PackageNotFoundError:  # of another platform
            continue
        waiting += [r.name for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    return found


def refused(names: tuple[str, ...]) -> list[str]:
    """Top-level modules of all other installed distributions but this project."""
    allowed = with_requirements(names) | {"gram-manifolds"}
    owners = packages_distributions()
    return sorted(top for top, dists in owners.items() if not {plain(dist) for dist in dists} & allowed)


def run(names: tuple[str, ...], module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", REFUSAL, json.dumps(refused(names)), module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures that another machine prepared."""
    folder = tmp_path_factory.mktemp("data")
    paths = [f"paths.train_data='{folder}/train'", f"paths.test_data='{folder}/test'"]
    assert main(prepare.STAGE, prepare.run, ["experiment=tiny", *paths]) == 0
    return folder


def test_what_is_refused_is_what_the_project_must_do_without() -> None:
    heavy = {"scipy", "embreex", "mlflow", "rich", "trimesh", "torchvision", "jaxtyping"}
    heavy |= {"torch_fidelity", "dvc", "skimage", "matplotlib"}
    assert heavy | {"hydra", "omegaconf", "PIL"} <= set(refused(BENCHMARKS))
    assert heavy <= set(refused(TRAINING))
    assert not {"torch", "numpy", "accelerate", "hydra", "safetensors", "gram"} & set(refused(TRAINING))


def test_a_refused_module_cannot_be_imported() -> None:
    done = run(BENCHMARKS, "PIL.Image")
    assert done.returncode != 0
    assert "No module named 'PIL'" in done.stderr


def test_training_needs_torch_numpy_accelerate_hydra_and_pillow_alone(data: Path, tmp_path: Path) -> None:
    places = {"train_data": data / "train", "checkpoints": tmp_path / "work", "train": tmp_path / "out"}
    paths = [f"paths.{name}='{path}'" for name, path in places.items()]
    done = run(TRAINING, "pipeline.train", "experiment=tiny", "tracking=none", "train.steps=2", *paths)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/model/generator.safetensors").exists()
    assert len((tmp_path / "out/metrics.jsonl").read_text().splitlines()) == 2


def test_the_doctor_needs_no_more_than_training(data: Path, tmp_path: Path) -> None:
    places = {"train_data": data / "train", "checkpoints": tmp_path / "work", "train": tmp_path / "out"}
    paths = [f"paths.{name}='{path}'" for name, path in places.items()]
    done = run(TRAINING, "pipeline.doctor", "experiment=tiny", "tracking=none", *paths)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing is wrong" in done.stdout


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("generator", "--help"), ("train_step", "--size 8 --batch 2 --width 8 --runs 1 --cpu")],
)
def test_a_benchmark_runs_without_hydra(name: str, arguments: str) -> None:
    done = run(BENCHMARKS, f"benchmarks.{name}", *arguments.split())
    assert done.returncode == 0, done.stderr
    assert "images/s" in done.stdout


def test_the_method_alone_can_be_imported() -> None:
    done = run(BENCHMARKS, "gram")
    assert "'gram' is a package and cannot be directly executed" in done.stderr
