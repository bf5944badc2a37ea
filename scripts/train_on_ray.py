"""Training on machines of a Ray cluster, one launcher on each: what a RayJob starts.

    python scripts/train_on_ray.py --machines 2 --processes 8 experiment=heads32 train.batch_size=32

Exit codes are those of python -m pipeline.train. A lost machine is an error: the same command goes on.
"""

import argparse
import os
import socket
import subprocess
import sys
from pathlib import Path

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

PROJECT = Path(__file__).resolve().parents[1]


def meeting_point() -> tuple[str, int]:
    """Address of the machine that runs this, and a port that is free on it."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return ray.util.get_node_ip_address(), probe.getsockname()[1]


def train(options: list[str]) -> int:
    """One machine's part. It ends with the Ray worker that runs this."""
    environment = {**os.environ, "GRAM_PARENT": str(os.getpid())}
    command = [sys.executable, "-m", "pipeline.cli.parent_death", "pipeline.train", *options]
    return subprocess.run(command, cwd=PROJECT, env=environment, check=False).returncode


def main() -> int:
    """Start training on every machine and wait for all; returns the largest exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--machines", type=int, required=True)
    parser.add_argument("--processes", type=int, required=True, help="of each machine, one a GPU")
    parser.add_argument("--cpu", action="store_true", help="train without GPUs")
    given, options = parser.parse_known_args()

    ray.init(address="auto", log_to_driver=True)
    needs = {"CPU": given.processes} | ({} if given.cpu else {"GPU": given.processes})
    group = placement_group([needs] * given.machines, strategy="STRICT_SPREAD")
    ray.get(group.ready())

    def on(rank: int) -> dict[str, object]:
        place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
        return {"scheduling_strategy": place, "num_cpus": needs["CPU"], "num_gpus": needs.get("GPU", 0)}

    address, port = ray.get(ray.remote(meeting_point).options(**on(0)).remote())
    shared = {
        "machines": given.machines,
        "processes": given.processes,
        "main_address": address,
        "main_port": port,
    }
    options += [f"train.launch.{name}={value}" for name, value in shared.items()]
    parts = [
        ray.remote(train)
        .options(**on(rank), max_retries=0)
        .remote([*options, f"train.launch.machine_rank={rank}"])
        for rank in range(given.machines)
    ]
    return max(ray.get(parts))


if __name__ == "__main__":
    sys.exit(main())
