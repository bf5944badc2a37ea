"""docs/multi-node.md: its commands are options that exist, its YAML says what the program does."""

import re
import shlex
from typing import Any

import pytest
import torch
import yaml

from pipeline.cli.exit_codes import EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_REQUEUE, EXIT_USAGE
from pipeline.config.loader import load
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime.launch import start, workers

TEXT = (PROJECT / "docs/multi-node.md").read_text()
TRAINING = re.findall(r"pipeline\.train ([^'\n`]*\w=[^'\n`]*)", TEXT)
BLOCKS = [list(yaml.safe_load_all(block)) for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)]


@pytest.mark.parametrize("arguments", TRAINING)
def test_every_command_trains_on_processes_that_can_share_its_batch(arguments: str) -> None:
    start.check(load(shlex.split(arguments)), torch.device("cpu"))


def test_there_are_commands_for_one_machine_and_for_two() -> None:
    machines = [load(shlex.split(arguments)).train.launch.machines for arguments in TRAINING]
    assert set(machines) == {1, 2}


def test_options_of_the_scripts_exist() -> None:
    for arguments in re.findall(r"(?:train\.slurm|--processes 8) (.*)", TEXT):
        assert load(shlex.split(arguments)).train.batch_size % 16 == 0


def test_the_kubernetes_job_trains_with_a_pod_a_machine_and_requeues() -> None:
    (service, job), _ = BLOCKS
    spec: dict[str, Any] = job["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    (command,) = container["args"]
    words = shlex.split(command.replace("$JOB_COMPLETION_INDEX", "1"))
    assert words[:4] == ["exec", "python", "-m", "pipeline.train"]
    asked = load(words[4:]).train.launch
    assert asked.machines == spec["completions"] == spec["parallelism"]
    assert asked.processes == container["resources"]["limits"]["nvidia.com/gpu"]
    name, subdomain = job["metadata"]["name"], pod["subdomain"]
    assert asked.main_address == f"{name}-0.{subdomain}"
    assert (service["metadata"]["name"], service["spec"]["selector"]) == (subdomain, {"job-name": name})
    actions = {rule["action"]: rule["onExitCodes"]["values"] for rule in spec["podFailurePolicy"]["rules"]}
    assert actions == {"Ignore": [EXIT_REQUEUE], "FailJob": [EXIT_USAGE]}
    assert pod["terminationGracePeriodSeconds"] > workers.STOP_SECONDS


def test_the_ray_job_takes_the_machines_that_its_cluster_has() -> None:
    _, (job,) = BLOCKS
    words = shlex.split(job["spec"]["entrypoint"])
    asked = {word: words[k + 1] for k, word in enumerate(words) if word.startswith("--")}
    (group,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert asked["--machines"] == str(group["replicas"])
    (container,) = group["template"]["spec"]["containers"]
    assert asked["--processes"] == group["rayStartParams"]["num-gpus"]
    assert asked["--processes"] == str(container["resources"]["limits"]["nvidia.com/gpu"])


def test_exit_codes_are_those_of_the_program() -> None:
    codes = re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)
    assert [int(code) for code in codes] == [0, 1, EXIT_USAGE, EXIT_REQUEUE, EXIT_HANGUP, EXIT_INTERRUPTED]
