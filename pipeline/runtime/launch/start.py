"""Training on several processes, through a launcher in a child process.

    pipeline.train          started by the user: forwards signals, returns the workers' exit code
      launch.workers        starts and restarts workers; on each of several machines instead:
      launch.accelerate     accelerate launch, with a rendezvous at a port of machine 0
        pipeline.train      workers, one per GPU
        ...

When any of them is killed, those below it end, too. On one machine all ports are on loopback.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import torch

from gram.system import scratch
from pipeline.cli import parent_death
from pipeline.cli.console import say
from pipeline.config.pinned import pinned
from pipeline.config.schema import Config, LaunchConfig
from pipeline.config.yaml_reading import PROJECT
from pipeline.runtime import build
from pipeline.runtime.launch import exit_status, workers

PREFIX = "gram-launch-"
"""Prefix of the folder through which launcher and workers exchange files."""
JOIN_SECONDS = 600
"""Seconds that machines wait for each other, also after one of them ended."""
LOOPBACK = "127.0.0.1"
ADDRESS_SECONDS, ADDRESSES_SECONDS = 5, 60
"""Seconds until the name of machine 0 must resolve, for one machine and for several: Kubernetes publishes the
name of a pod only after its start."""


def run(config: Config, *, stage: str = "train") -> int | None:
    """Run a stage on the processes of train.launch, and return the exit code of the workers.

    It is None if this process does the work, as the only one or as a worker. Errors as `check`.
    """
    asked = config.train.launch
    if exit_status.is_worker():
        return None
    _check_rank(config)
    if asked.processes * asked.machines == 1:
        return None
    device = build.device(config.train.device)
    check(config, device)
    if asked.machines > 1:
        say(
            f"{stage}: machine {asked.machine_rank} of {asked.machines} waits for the others at "
            f"{asked.main_address}:{asked.main_port}, up to {JOIN_SECONDS // 60} minutes"
        )
    with scratch.folder(PREFIX) as folder:
        params, file = folder / "params.yaml", folder / "outcome"
        params.write_text(pinned(config), encoding="utf-8")
        program = [f"pipeline.{stage}", "--pinned", str(params)]
        command = [sys.executable, "-m", *_launcher(config, folder), *program]
        environment = {**os.environ, **_environment(config, device), exit_status.FILE: str(file)}
        if asked.machines == 1:
            environment[workers.MEETING] = str(folder / "meeting")
        return exit_status.follow(subprocess.Popen(command, env=environment, start_new_session=True), file)


def check(config: Config, device: torch.device) -> None:
    """Check train.launch; ValueError if it contradicts itself, the batch or the machine."""
    asked = config.train.launch
    _check_rank(config)
    if asked.machines > 1 and asked.main_port == 0:
        raise ValueError(
            f"train.launch.machines = {asked.machines} with main_port = 0: machines need a port that all "
            "know: choose a free one of machine 0, for instance train.launch.main_port=29500"
        )
    _check_address(asked)
    share_of(config)
    if device.type == "cuda" and asked.processes > torch.cuda.device_count():
        raise ValueError(
            f"train.launch.processes = {asked.processes}, but torch sees {torch.cuda.device_count()} GPUs on "
            "this machine: choose one process per GPU, or train.device=cpu"
        )


def share_of(config: Config) -> int:
    """Images of a batch on each process of train.launch; ValueError if the batch cannot be divided evenly."""
    asked, batch = config.train.launch, config.train.batch_size
    total = asked.processes * asked.machines
    if batch % total:
        raise ValueError(
            f"train.batch_size = {batch} cannot be divided evenly among {asked.machines} x {asked.processes} "
            f"processes (train.launch): choose a multiple of {total}"
        )
    return batch // total


def _check_rank(config: Config) -> None:
    asked = config.train.launch
    if asked.machine_rank >= asked.machines:
        numbers = f"0 to {asked.machines - 1}" if asked.machines > 1 else "0 alone"
        raise ValueError(
            f"train.launch.machine_rank = {asked.machine_rank}, but train.launch.machines = "
            f"{asked.machines}: ranks are {numbers}"
        )


def _check_address(asked: LaunchConfig) -> None:
    """Refuse a name of machine 0 that does not resolve; with several machines, wait for it in a thread."""
    address, found = asked.main_address, threading.Event()
    seconds = ADDRESS_SECONDS if asked.machines == 1 else ADDRESSES_SECONDS

    def ask() -> None:
        for attempt in range(seconds):
            with suppress(OSError, UnicodeError):
                socket.getaddrinfo(address, None)
                found.set()
                return
            if attempt == 0 and asked.machines > 1:
                name = f"{address} (train.launch.main_address)"
                say(f"train: {name} does not resolve yet: retrying for {seconds} s")
            time.sleep(1.0)

    threading.Thread(target=ask, daemon=True).start()
    if not found.wait(seconds):
        raise ValueError(
            f"train.launch.main_address = {address}: this name does not resolve: give the name or address of "
            "machine 0, such as 10.0.0.1"
        )


def _launcher(config: Config, folder: Path) -> list[str]:
    """Module and first arguments of the launcher on this machine."""
    asked = config.train.launch
    if asked.machines == 1:
        return ["pipeline.runtime.launch.workers", str(asked.processes), str(asked.max_restarts)]
    logs = str(folder / "logs")  # by default a folder in TMPDIR, which torchrun does not remove
    return ["pipeline.runtime.launch.accelerate", "--log_dir", logs, *_options(config), "-m"]


def _options(config: Config) -> list[str]:
    """Options of accelerate launch on one of several machines; --multi_gpu includes CPU processes."""
    asked = config.train.launch
    meeting = {"is_host": int(asked.machine_rank == 0)}
    meeting |= {"join_timeout": JOIN_SECONDS, "read_timeout": JOIN_SECONDS}
    options = {
        "num_processes": asked.processes * asked.machines,
        "num_machines": asked.machines,
        "machine_rank": asked.machine_rank,
        "main_process_ip": asked.main_address,
        "main_process_port": asked.main_port,
        "max_restarts": asked.max_restarts,
        "rdzv_backend": "c10d",
        "rdzv_conf": ",".join(f"{name}={value}" for name, value in meeting.items()),
        "num_cpu_threads_per_process": _threads(config),
        "mixed_precision": "no",
        "dynamo_backend": "no",
        "gpu_ids": "all",
    }
    return ["--multi_gpu", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def _threads(config: Config) -> int:
    """CPU threads of each process."""
    if config.train.threads:
        return config.train.threads
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, torch.get_num_threads() // config.train.launch.processes)


def _environment(config: Config, device: torch.device) -> dict[str, str]:
    """Environment variables of launchers and workers."""
    paths = [str(PROJECT), os.environ.get("PYTHONPATH", "")]
    variables = {
        **parent_death.for_children(),
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ACCELERATE_USE_CPU": str(device.type == "cpu").lower(),
        "TORCH_CPP_LOG_LEVEL": os.environ.get("TORCH_CPP_LOG_LEVEL", "ERROR"),
    }
    alone = config.train.launch.machines == 1
    return variables | (_on_this_machine(config, device) if alone else _among_machines(config))


def _on_this_machine(config: Config, device: torch.device) -> dict[str, str]:
    """Environment variables that keep the workers of one machine on loopback, whatever the cluster sets."""
    variables = {"OMP_NUM_THREADS": str(_threads(config))}
    if interface := _interface(LOOPBACK):
        variables |= {"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface}
    if device.type == "cuda":
        from accelerate.utils import check_cuda_p2p_ib_support

        if not check_cuda_p2p_ib_support():  # consumer GPUs, as in accelerate launch
            variables |= {"NCCL_P2P_DISABLE": "1", "NCCL_IB_DISABLE": "1"}
    return variables


def _among_machines(config: Config) -> dict[str, str]:
    """Environment variables of several machines; PET_ sets options of accelerate's torchrun."""
    asked = config.train.launch
    variables = {
        # ranks follow the order of these names: machine 0, which has the checkpoints, must be the first
        "PET_LOCAL_ADDR": asked.main_address + (f"/{asked.machine_rank:06}" if asked.machine_rank else ""),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(workers.STOP_SECONDS),
        # a store in the launcher would outlive the workers, and restarted ones would read stale entries
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    interface = os.environ.get("GLOO_SOCKET_IFNAME") or _interface(asked.main_address)
    return variables | ({"GLOO_SOCKET_IFNAME": interface} if interface else {})


def _interface(address: str) -> str | None:
    """Network interface to `address`, in place of gloo's default, the interface of the host name.

    None if the address does not resolve, or if it is a name of this machine that resolves to loopback.
    """
    import psutil

    try:
        family, _, _, _, target = socket.getaddrinfo(address, 1, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)  # chooses a route, sends nothing
            own = probe.getsockname()[0].partition("%")[0]
    except OSError:
        return None
    if ip_address(own).is_loopback and own != address:
        return None
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == own for entry in addresses):
            return name
    return None
