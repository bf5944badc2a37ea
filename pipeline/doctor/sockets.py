"""Sockets of a training that wait for other machines: whoever reaches them can run programs here."""

import os
from collections.abc import Iterator
from ipaddress import ip_address

from pipeline.config.schema import Config
from pipeline.doctor.findings import Caution, Fact, Finding
from pipeline.runtime.launch import exit_status

NETWORK = "let it be reached from the training's machines alone (docs/multi-node.md)"


def planned(config: Config) -> Iterator[Finding]:
    """The port that training would have open, where train.launch asks for several machines."""
    asked = config.train.launch
    if asked.machines == 1:
        yield Fact("listening", "on loopback alone, whatever the number of processes")
        return
    yield Caution(
        f"machine 0 will listen on all its addresses, at port {asked.main_port} (train.launch.main_port), "
        f"and run what it is sent, without a password: {NETWORK}"
    )


def found(listening: list[tuple[str, ...]]) -> Iterator[Finding]:
    """What the processes of a meeting have open; `listening` are addresses of each, in the order of ranks."""
    places = [f"process {rank}: {place}" for rank, own in enumerate(listening) for place in own]
    if not places:
        yield Fact("listening", "on loopback alone")
        return
    yield Caution(
        f"beyond loopback, {', '.join(places)} will run what they are sent, without a password: {NETWORK}"
    )


def beyond_loopback() -> tuple[str, ...]:
    """Addresses at which this process listens for other machines, and its launcher, in its first worker."""
    import psutil

    own = [psutil.Process()]
    if exit_status.is_worker() and os.environ["LOCAL_RANK"] == "0" and (parent := own[0].parent()):
        own.append(parent)
    places = set()
    for process in own:
        for entry in process.net_connections(kind="inet"):
            if entry.status == psutil.CONN_LISTEN and not _is_loopback(entry.laddr.ip):
                address = f"[{entry.laddr.ip}]" if ":" in entry.laddr.ip else entry.laddr.ip
                places.add(f"{address}:{entry.laddr.port}")
    return tuple(sorted(places))


def _is_loopback(address: str) -> bool:
    return ip_address(address.partition("%")[0].removeprefix("::ffff:")).is_loopback
