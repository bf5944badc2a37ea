"""Fingerprints: what lets an unfinished training go on, and what starts it anew."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.loader import load
from pipeline.config.options import all_options, leaves
from pipeline.config.yaml_reading import PROJECT
from pipeline.tracking.fingerprint import (
    ROOTS,
    fingerprint,
    hash_of_program,
    is_observer,
    made_by_another_program,
    program_hash,
    what_matters,
)
from pipeline.tracking.import_closure import import_closure


def test_the_fingerprint_ignores_length_and_watching_only() -> None:
    base = fingerprint(load(["experiment=tiny"]), data_hash="a")
    for same in (
        "train.steps=9",
        "train.log_every=7",
        "export.size=64",
        "evaluate.images=9",
        "paths.train=x",
    ):
        assert fingerprint(load(["experiment=tiny", same]), data_hash="a") == base, same
    for other in (
        "seed=1",
        "sampler.points=4",
        "model.hidden=5",
        "train.batch_size=2",
        "train.betas=[0,0.5]",
        "data.far=1.2",
        "data.yaw_std=0.2",
    ):
        assert fingerprint(load(["experiment=tiny", other]), data_hash="a") != base, other
    assert fingerprint(load(["experiment=tiny"]), data_hash="b") != base


@pytest.mark.parametrize(
    ("experiment", "settings"),
    [("tiny", "137ada1cb398"), ("heads64", "9e34da396eb4"), ("ffhq256", "de4df8a7413e")],
)
def test_unfinished_training_of_shipped_experiments_goes_on(experiment: str, settings: str) -> None:
    mark = fingerprint(load([f"experiment={experiment}"]), data_hash="a")
    assert mark.split("-")[0] == settings, "another preset or option: folders of checkpoints start anew"


def test_length_watching_and_machines_alone_do_not_count() -> None:
    config = load(["experiment=tiny"])
    counted = {name for name, _ in leaves({"train": what_matters(config, data_hash="a")["train"]})}
    known = {name for name in all_options() if name.startswith("train.")}
    assert known - counted == {
        "train.steps", "train.micro_batch", "train.patches", "train.recompute", "train.log_every",
        "train.sample_every", "train.checkpoint_every", "train.keep_checkpoints", "train.keep_every",
        "train.measure_every", "train.measure_images", "train.stop_on_collapse", "train.threads",
        "train.device", "train.kernels", "train.launch.processes", "train.launch.machines",
        "train.launch.machine_rank", "train.launch.main_address", "train.launch.main_port",
        "train.launch.max_restarts", "train.start_from",
    }  # fmt: skip
    assert "train.start_from" in dict(
        leaves(what_matters(load(["experiment=tiny", "train.start_from=x"]), data_hash="a"))
    )


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("program")
    for package in ("gram", "pipeline"):
        shutil.copytree(PROJECT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def changed(program: Path, name: str) -> bool:
    """Whether the hash of the program changes with the text of one file, which is restored."""
    file, before = program / name, hash_of_program(program)
    text = file.read_text()
    file.write_text(f"{text}# changed\n")
    after = hash_of_program(program)
    file.write_text(text)
    assert hash_of_program(program) == before
    return after != before


@pytest.mark.parametrize(
    "name",
    [
        "gram/training/step.py",
        "gram/training/losses.py",
        "gram/rendering/samplers/surfaces.py",
        "gram/ops/kernels/relu_field.py",
        "gram/data/reader.py",
        "pipeline/train/loop.py",
        "pipeline/runtime/build.py",
        "pipeline/runtime/scene.py",
    ],
)
def test_a_change_of_what_trains_starts_anew(program: Path, name: str) -> None:
    assert changed(program, name)


@pytest.mark.parametrize(
    "name",
    [
        "gram/metrics/fidelity.py",
        "gram/meshing/surface.py",
        "gram/analysis/health.py",
        "gram/system/locks.py",
        "gram/analysis/inversion.py",
        "pipeline/evaluate/stage.py",
        "pipeline/export/stage.py",
        "pipeline/export/surface.py",
        "pipeline/train/stage.py",
        "pipeline/train/observer.py",
        "pipeline/cli/progress.py",
    ],
)
def test_a_change_of_what_looks_on_goes_on(program: Path, name: str) -> None:
    assert not changed(program, name)


def test_the_hash_covers_every_module_of_gram_that_the_training_loop_loads() -> None:
    show = (
        "import sys, types; bare = types.ModuleType('gram'); bare.__path__ = ['gram']\n"
        f"sys.modules['gram'] = bare\nimport {', '.join(ROOTS)}\n"
        "print(*(name for name in sys.modules if name.startswith('gram.')))"
    )
    command = [sys.executable, "-c", show]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if not is_observer(name)}
    assert len(loaded) > 40
    assert loaded <= set(import_closure(ROOTS, PROJECT, follow=lambda name: name.startswith("gram.")))
    assert program_hash() == hash_of_program(PROJECT)


def test_checkpoints_of_another_version_of_the_program_are_found(tmp_path: Path) -> None:
    mark = fingerprint(load(["experiment=tiny"]), data_hash="a")
    settings, _ = mark.split("-")
    (tmp_path / f"{settings}-01234567").mkdir()
    (tmp_path / f"{mark}-to-5").mkdir()
    assert made_by_another_program(tmp_path, mark) == [tmp_path / f"{settings}-01234567"]


def test_imports_are_followed_in_every_form(tmp_path: Path) -> None:
    package = tmp_path / "a"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("from a.unused import x\n")
    (package / "root.py").write_text(
        "import a.one\nfrom a import two\nfrom .three import x\nimport os, torch\n"
    )
    (package / "one.py").write_text("def f():\n    from a.deep.four import x\n")
    (package / "two.py").write_text("import a.root\n")
    (package / "three.py").write_text("from a.skipped import x\n")
    (package / "deep" / "__init__.py").write_text("from .five import x\n")
    for name in ("deep/four", "deep/five", "unused", "skipped"):
        (package / f"{name}.py").write_text("x = 1\n")
    found = import_closure(
        ["a.root"], tmp_path, follow=lambda name: name.startswith("a.") and "skip" not in name
    )
    assert list(found) == ["a.deep", "a.deep.five", "a.deep.four", "a.one", "a.root", "a.three", "a.two"]
    assert found["a.one"] == package / "one.py"
    with pytest.raises(FileNotFoundError, match="no such module"):
        import_closure(["a.nothing"], tmp_path, follow=lambda name: True)
