"""`dvc repro` killed: its stage ends with it, and the next one ends in the same bytes."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml
from machines import all_gone, below
from training_runs import killed_at_the_end

from pipeline.config.presets import CONF
from pipeline.config.yaml_reading import PROJECT

ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
ENVIRONMENT |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
WAITING = (
    "import time\n"
    "from pipeline.cli import dvc_parent\n"
    "dvc_parent.end_with_dvc()\n"
    "print('there', flush=True)\n"
    "time.sleep(60)\n"
)
STEPS = 30


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose prepare and train take seconds."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("gram", "pipeline", "conf"):
        shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    stages = yaml.safe_load((PROJECT / "dvc.yaml").read_text())["stages"]
    chosen = {name: stages[name] for name in ("source", "prepare", "train")}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": chosen}))
    params = yaml.safe_load((CONF / "experiment/tiny.yaml").read_text())
    params["preset"]["tracking"] = "none"
    params["data"]["identities"] = 40
    params["train"] |= {"steps": STEPS, "checkpoint_every": 5}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return folder


def repro(folder: Path, **variables: str) -> subprocess.Popen[str]:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(folder), **variables}
    return subprocess.Popen(
        ["dvc", "repro"], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


def content(folder: Path) -> dict[str, str]:
    """Path -> hash of what the stages leave that does not tell the time."""
    files = [path for name in ("data", "runs/train/model") for path in (folder / name).rglob("*")]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if path.is_file()
    }


def stage(process: subprocess.Popen[str], module: str, sign: Path) -> psutil.Process:
    """The process of a stage, at work."""
    while not (sign.exists() and (found := below(process, module))):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    return found[-1]


@pytest.mark.slow
def test_dvc_repro_killed_takes_its_stage_along_and_the_next_ends_in_the_same_bytes(project: Path) -> None:
    """Killed in prepare and in train, by each signal; Ctrl-C reaches the whole group of a terminal."""
    moments = [
        (signal.SIGKILL, "prepare", "data"),
        (signal.SIGINT, "prepare", "data"),
        (signal.SIGTERM, "train", "runs/train/metrics.jsonl"),
    ]
    for number, name, sign in moments:
        with killed_at_the_end(repro(project)) as process:
            caught = stage(process, f"pipeline.{name}", project / sign)
            os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
            assert process.wait(timeout=60) != 0
            assert all_gone([caught])
    with killed_at_the_end(repro(project)) as process:
        messages, _ = process.communicate(timeout=180)
    assert process.returncode == 0, messages
    killed = content(project)
    for name in ("data", "runs", "checkpoints", "dvc.lock", ".dvc/cache"):
        path = project / name
        path.unlink() if path.is_file() else shutil.rmtree(path)
    with killed_at_the_end(repro(project)) as process:
        messages, _ = process.communicate(timeout=180)
    assert process.returncode == 0, messages
    assert killed == content(project)
    assert len([name for name in killed if name.endswith(".png")]) > 40


DVC = """
import os, subprocess, sys
environment = {**os.environ, "DVC_STAGE": "prepare"}
subprocess.Popen(sys.argv[1:], env=environment).wait()
"""
"""A program that runs a command as DVC does."""


@contextmanager
def as_dvc(*command: str, program: str = DVC) -> Iterator[subprocess.Popen[str]]:
    """A program that runs a command which has said that it is there."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *command, sys.executable, "-c", WAITING],
        env={**ENVIRONMENT, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process


@pytest.mark.parametrize("shell", [[], ["sh", "-c", '"$@"; exit', "sh"]], ids=["itself", "by-a-shell"])
def test_a_stage_ends_with_dvc_also_where_a_shell_stands_between(shell: list[str]) -> None:
    with as_dvc(*shell) as dvc:
        everyone = psutil.Process(dvc.pid).children(recursive=True)
        assert len(everyone) == 1 + len(shell[:1])
        dvc.kill()
        assert all_gone(everyone[-1:], seconds=5)


def test_a_stage_whose_dvc_ended_before_it_looked_ends_at_once() -> None:
    late = WAITING.replace("import time\n", "import sys, time\nsys.stdin.readline()\n")
    command = [sys.executable, "-c", DVC, sys.executable, "-c", late]
    environment = {**ENVIRONMENT, "PYTHONPATH": str(PROJECT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True
    ) as dvc:
        while not (children := psutil.Process(dvc.pid).children()):
            time.sleep(0.01)
        dvc.kill()
        dvc.wait()
        assert not all_gone(children, seconds=0.2)
        out, _ = dvc.communicate("go on\n", timeout=60)
        assert out == ""
        assert all_gone(children)


def test_who_is_no_stage_of_dvc_outlives_who_started_it() -> None:
    with as_dvc(program=DVC.replace('"DVC_STAGE"', '"NOTHING"')) as parent:
        (child,) = psutil.Process(parent.pid).children()
        parent.kill()
        assert not all_gone([child], seconds=0.5)
        child.kill()
