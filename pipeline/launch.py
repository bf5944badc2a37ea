"""Training on many processes: `accelerate launch` as a child that is followed to its end.

    python -m pipeline.train          started by the user: passes signals on, returns the workers' exit code
      python -m pipeline.launch       accelerate launch, one a machine: starts workers, restarts them
        python -m pipeline.train      workers, one a GPU
        ...

Whoever of them is killed, those below it end, too (pipeline.lifeline).
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import torch
from omegaconf import OmegaConf

from pipeline import build, lifeline
from pipeline.cli import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.config import PROJECT, as_dict, presets_of
from pipeline.console import say
from pipeline.schema import GROUPS, Config

OUTCOME = "GRAM_OUTCOME"
"""Environment variable: the file to which the first worker of a machine writes its exit code."""
JOIN_SECONDS = 600
"""How long machines wait for each other, also after one of them ended."""
STOP_SECONDS = 100
"""How long workers have to write a checkpoint after a signal, before they are killed."""
_STOPPED = (EXIT_REQUEUE, EXIT_INTERRUPTED)
_WORKER_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")


def is_worker() -> bool:
    """Whether a launcher (accelerate launch, torchrun) started this process."""
    return all(name in os.environ for name in _WORKER_VARIABLES)


def run(config: Config) -> int | None:
    """Train on as many processes as train.launch asks for.

    Returns:
        The workers' exit code, or None where this process is to train by itself: one process is asked for,
        or this is one of the workers.

    Raises:
        ValueError: train.launch contradicts itself, the batch or the machine.
    """
    asked = config.train.launch
    if is_worker() or asked.processes * asked.machines == 1:
        return None
    device = build.device(config.train.device)
    _check(config, device)
    with tempfile.TemporaryDirectory(prefix="gram-launch-") as folder:
        params, outcome = Path(folder) / "params.yaml", Path(folder) / "outcome"
        _write_params(config, params)
        command = [sys.executable, "-m", "pipeline.launch", *_options(config)]
        command += ["-m", "pipeline.train", "--params", str(params)]
        environment = {**os.environ, **_environment(config, device), OUTCOME: str(outcome)}
        # A session of its own: Ctrl-C reaches this process alone, which passes it on once.
        launcher = subprocess.Popen(command, env=environment, start_new_session=True)
        return _follow(launcher, outcome)


def as_worker(program: Callable[[], int]) -> int:
    """Run the program of a process that may be a worker; returns what the process should exit with.

    A worker ends with its launcher. Its exit code goes to the file that `run` reads: for the launcher, a
    worker that stopped as it was asked to has done its work, and is not to be started again.
    """
    if not is_worker():
        return program()
    lifeline.hold()
    outcome = Path(os.environ[OUTCOME]) if OUTCOME in os.environ else None
    first = os.environ["LOCAL_RANK"] == "0"
    if outcome is None:
        return program()
    if first:
        outcome.unlink(missing_ok=True)  # of workers before a restart
    code = program()
    if first:
        aside = outcome.with_suffix(".new")
        aside.write_text(str(code))
        aside.replace(outcome)
    return 0 if code in _STOPPED else code


def _check(config: Config, device: torch.device) -> None:
    asked, batch = config.train.launch, config.train.batch_size
    total = asked.processes * asked.machines
    if asked.machine_rank >= asked.machines:
        raise ValueError(
            f"train.launch.machine_rank = {asked.machine_rank}, but train.launch.machines = {asked.machines}: "
            f"machines have the numbers 0 to {asked.machines - 1}"
        )
    if asked.machines > 1 and asked.main_port == 0:
        raise ValueError(
            f"train.launch.machines = {asked.machines} with main_port = 0: machines can only meet at a port "
            "that all know; choose a free one of machine 0, as train.launch.main_port=29500"
        )
    if batch % total:
        raise ValueError(
            f"train.batch_size = {batch} cannot be shared out evenly to {asked.machines} x {asked.processes} "
            f"processes: choose a multiple of {total}"
        )
    if device.type == "cuda" and asked.processes > torch.cuda.device_count():
        raise ValueError(
            f"train.launch.processes = {asked.processes}, but this machine has {torch.cuda.device_count()} "
            "GPUs: ask for as many, or choose train.device=cpu"
        )


def _write_params(config: Config, file: Path) -> None:
    """A params.yaml that pins every option, so that workers get this very configuration."""
    presets = {group: presets_of(group)[0] for group in GROUPS}
    OmegaConf.save(OmegaConf.create({"preset": presets, **as_dict(config)}), file)


def _options(config: Config) -> list[str]:
    """Options of accelerate launch.

    --multi_gpu is its name for one process a device, CPUs included. Matrix precision and compilation are
    the program's own business.
    """
    asked = config.train.launch
    options = {
        "num_processes": asked.processes * asked.machines,
        "num_machines": asked.machines,
        "machine_rank": asked.machine_rank,
        "main_process_ip": asked.main_address,
        "main_process_port": asked.main_port,
        "max_restarts": asked.max_restarts,
        "rdzv_backend": "c10d",
        "rdzv_conf": f"is_host={int(asked.machine_rank == 0)},"
        f"join_timeout={JOIN_SECONDS},read_timeout={JOIN_SECONDS}",
        "num_cpu_threads_per_process": _threads(config),
        "mixed_precision": "no",
        "dynamo_backend": "no",
        "gpu_ids": "all",
    }
    return ["--multi_gpu", *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def _threads(config: Config) -> int:
    if config.train.threads:
        return config.train.threads
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, torch.get_num_threads() // config.train.launch.processes)


def _environment(config: Config, device: torch.device) -> dict[str, str]:
    """What accelerate launch has no options for."""
    asked = config.train.launch
    # Ranks follow the order of these names: machine 0 has to be the first, it writes the checkpoints.
    name = f"{asked.main_address}/{asked.machine_rank:06}" if asked.machine_rank else asked.main_address
    found = {
        **lifeline.for_children(),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])),
        "ACCELERATE_USE_CPU": str(device.type == "cpu").lower(),
        "PET_LOCAL_ADDR": name,
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(STOP_SECONDS),
    }
    if asked.machines == 1:
        found["PET_RDZV_ENDPOINT"] = f"127.0.0.1:{asked.main_port}"
        found["PET_LOCAL_ADDR"] = "127.0.0.1"
    if "GLOO_SOCKET_IFNAME" not in os.environ and (interface := _interface(asked.main_address)):
        found["GLOO_SOCKET_IFNAME"] = interface
    return found


def _interface(address: str) -> str | None:
    """The network interface by which this machine reaches `address`; gloo would take the host name's.

    None where it is not known: where the name of another machine means this one, or cannot be resolved.
    """
    import psutil

    try:
        family, _, _, _, target = socket.getaddrinfo(address, 1, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(target)  # sends nothing, but chooses a route
            own = probe.getsockname()[0]
    except OSError:
        return None
    if ip_address(own.partition("%")[0]).is_loopback and own != address:
        return None
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.address.partition("%")[0] == own for entry in addresses):
            return name
    return None


def _follow(launcher: subprocess.Popen[bytes], outcome: Path) -> int:
    """Wait for the launcher, passing signals on; returns the exit code of all."""
    try:
        with _passing_signals_on(launcher) as passed:
            ended = launcher.wait()
    finally:
        if launcher.poll() is None:
            launcher.kill()
            launcher.wait()
    code = int(outcome.read_text()) if outcome.exists() else None
    if ended == 0 or code in _STOPPED or (passed and code == 0):
        return code or 0
    if passed:
        return 128 + passed[0]
    return code or (ended if ended > 0 else 128 - ended)


@contextmanager
def _passing_signals_on(launcher: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """While entered, signals that ask to stop go to the launcher, which passes them on to its workers."""
    passed: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        passed.append(number)
        # Accelerate's launcher knows no SIGUSR1; for training, both mean the same.
        launcher.send_signal(signal.SIGTERM if number == signal.SIGUSR1 else number)

    if threading.current_thread() is not threading.main_thread():
        yield passed  # signals reach the main thread alone
        return
    before = {
        number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    }
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _launcher(arguments: Sequence[str]) -> int:
    """accelerate launch, ended with whoever started it, and failing in few words."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError

    lifeline.hold()
    os.environ.update(lifeline.for_children())
    try:
        launch_command(launch_command_parser().parse_args(list(arguments)))
    except SignalException:
        return EXIT_ERROR
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        end = f"ended with exit code {failure.exitcode}"
        if failure.exitcode < 0:
            end = f"was killed by {signal.Signals(-failure.exitcode).name}"
        say(f"launch: process {rank} {end}; the others were ended")
        return EXIT_ERROR
    except (RendezvousError, ConnectionError, TimeoutError) as error:
        say(f"launch: the machines did not find each other: {error.__cause__ or error}")
        return EXIT_ERROR
    return 0


if __name__ == "__main__":
    sys.exit(_launcher(sys.argv[1:]))
