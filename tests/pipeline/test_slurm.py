"""scripts/train.slurm, with commands in Slurm's place that do what the script needs of them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machines import free_port
from training_runs import PATIENCE, STEPS, arguments, losses, result, wait_for_step

from pipeline.cli.exit_codes import EXIT_REQUEUE
from pipeline.config.yaml_reading import PROJECT

SCRIPT = PROJECT / "scripts/train.slurm"
SRUN = """
# One task a node. Like srun: SIGUSR1 is passed on, SIGTERM kills the tasks, the largest exit code counts.
import os, signal, subprocess, sys
command = sys.argv[1:]
while command[0].startswith("--"):
    command.pop(0)
nodes = range(int(os.environ["SLURM_NNODES"]))
tasks = [subprocess.Popen(command, env={**os.environ, "SLURM_NODEID": str(node)}) for node in nodes]
def to_all(number):
    for task in tasks:
        task.send_signal(number)
signal.signal(signal.SIGUSR1, lambda *_: to_all(signal.SIGUSR1))
signal.signal(signal.SIGTERM, lambda *_: to_all(signal.SIGKILL))
codes = [task.wait() for task in tasks]
sys.exit(max(code if code >= 0 else 128 - code for code in codes))
"""
SCONTROL = """
import os, sys
if sys.argv[1:3] == ["show", "hostnames"]:
    print(os.environ["SLURM_JOB_NODELIST"].replace(",", "\\n"))
else:
    with open(os.environ["SCONTROL_LOG"], "a") as log:
        log.write(" ".join(sys.argv[1:]) + "\\n")
"""


class Job:
    """The script as Slurm would start it, on two nodes that are both this machine."""

    def __init__(self, folder: Path) -> None:
        self.requeued = folder / "scontrol.log"
        self._port = free_port()
        programs = folder / "bin"
        programs.mkdir()
        for name, program in (("srun", SRUN), ("scontrol", SCONTROL)):
            (programs / name).write_text(f"#!{sys.executable}\n{program}")
            (programs / name).chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHON": sys.executable,
            "SCONTROL_LOG": str(self.requeued),
            "SLURM_JOB_ID": str(self._port - 20000),
            "SLURM_JOB_NODELIST": "127.0.0.1,127.0.0.1",
            "SLURM_NNODES": "2",
            "SLURM_GPUS_ON_NODE": "1",
        }

    def start(self, *options: str) -> subprocess.Popen[str]:
        command = ["bash", str(SCRIPT), *options]
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def requeue(self) -> str:
        return f"requeue {self._port - 20000}\n"


def test_the_script_is_valid_bash_and_asks_to_be_told_in_time() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)
    directives = [line for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH ")]
    assert {"#SBATCH --requeue", "#SBATCH --signal=B:TERM@120", "#SBATCH --ntasks-per-node=1"} <= set(
        directives
    )


@pytest.mark.parametrize("code", [0, 1, EXIT_REQUEUE])
def test_a_job_goes_back_to_the_queue_only_if_training_asks_for_it(code: int, tmp_path: Path) -> None:
    job = Job(tmp_path)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\necho "$@" >> {tmp_path}/calls\nexit {code}\n')
    python.chmod(0o755)
    job.environment["PYTHON"] = str(python)
    with job.start("experiment=tiny", "paths.train='a b'") as process:
        assert process.wait(timeout=60) == code
    assert job.requeued.exists() == (code == EXIT_REQUEUE)
    shared = "-m pipeline.train experiment=tiny paths.train='a b' train.launch.machines=2"
    shared += " train.launch.processes=1 train.launch.main_address=127.0.0.1"
    calls = sorted((tmp_path / "calls").read_text().splitlines())
    assert len(calls) == 2
    for rank, call in enumerate(calls):
        assert call.startswith(shared)
        assert call.endswith(f"train.launch.machine_rank={rank}")


@pytest.mark.slow
def test_a_job_told_to_end_is_requeued_with_a_checkpoint_and_goes_on_exactly(
    data: list[str], straight_on_two: Path, tmp_path: Path
) -> None:
    job = Job(tmp_path)
    options = arguments(data, tmp_path, "train.checkpoint_every=1000")
    with job.start(*options) as process:
        wait_for_step(tmp_path, 4, process)
        process.send_signal(signal.SIGTERM)
        _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == EXIT_REQUEUE, messages
    assert job.requeued.read_text() == job.requeue
    stopped = losses(tmp_path)[-1][0]
    assert stopped < STEPS
    with job.start(*options) as process:
        _, messages = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, messages
    assert f"going on from step {stopped}" in messages
    assert job.requeued.read_text() == job.requeue
    assert result(tmp_path) == result(straight_on_two)
