"""Two machines for tests, and the processes on them.

The machines are network namespaces with addresses of their own, joined by a cable. Where namespaces are not
permitted, both are this machine, under its loopback address.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Machines:
    """`prefixes` run a command on each of the two; `address` is the first one's."""

    prefixes: tuple[Sequence[str], Sequence[str]]
    address: str


@contextmanager
def two_machines() -> Iterator[Machines]:
    """They are gone at the end."""
    names = [f"gram{os.getpid()}m{k}" for k in range(2)]
    try:
        if _connect(names):
            first, second = (("ip", "netns", "exec", name) for name in names)
            yield Machines((first, second), "10.83.0.1")
        else:
            yield Machines(((), ()), "127.0.0.1")
    finally:
        for name in names:
            _ip("netns", "delete", name)


def _connect(names: Sequence[str]) -> bool:
    """Make two namespaces with addresses 10.83.0.1 and 10.83.0.2; returns whether it is permitted."""
    ends = [f"g{os.getpid()}e{k}" for k in range(2)]
    cable = ["link", "add", ends[0], "netns", names[0], "type", "veth", "peer", ends[1], "netns", names[1]]
    commands = [["netns", "add", name] for name in names] + [cable]
    for k, (name, end) in enumerate(zip(names, ends, strict=True)):
        commands.append(["-n", name, "addr", "add", f"10.83.0.{k + 1}/24", "dev", end])
        commands += [["-n", name, "link", "set", device, "up"] for device in ("lo", end)]
    return all(_ip(*command) for command in commands)


def _ip(*arguments: str) -> bool:
    try:
        return subprocess.run(["ip", *arguments], check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def free_port() -> int:
    """A port from 20000 to 29999 that nobody listens on."""
    for port in range(20000 + os.getpid() % 9000, 30000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port
    raise OSError("no port is free")


def below(process: subprocess.Popen[str], module: str) -> list[psutil.Process]:
    """Processes below this one that run `python -m module`, in the order of their numbers."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            command = one.cmdline()
            if "-m" in command and command[command.index("-m") + 1] == module:
                found.append(one)
    return sorted(found, key=lambda one: one.pid)


def all_gone(processes: Sequence[psutil.Process], *, seconds: float = 10.0) -> bool:
    """Whether all have ended within that time."""
    deadline = time.monotonic() + seconds
    while any(map(_runs, processes)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
