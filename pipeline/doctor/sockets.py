"""Sockets of training that are open to other machines, and run programs of anyone who reaches them."""

import os
from collections.abc import Iterator
from ipaddress import ip_address

from pipeline.config.schema import Config
from pipeline.doctor.findings import Caution, Fact, Finding
from pipeline.runtime.launch import exit_status

NETWORK = "restrict it to the machines of the training (docs/multi-node.md)"


def planned(config: Config) -> Iterator[Finding]:
    """Port that training on several machines would open."""
    asked = config.train.launch
    if asked.machines == 1:
        yield Fact("listening", "on loopback alone, with any number of processes")
        return
    yield Caution(
        f"machine 0 will listen on all its addresses, at port {asked.main_port} (train.launch.main_port), "
        f"and run any program sent to it, without a password: {NETWORK}"
    )


def found(listening: list[tuple[str, ...]]) -> Iterator[Finding]:
    """Open sockets of all processes; `listening` are the addresses of each, by rank."""
    places = [f"process {rank}: {place}" for rank, own in enumerate(listening) for place in own]
    if not places:
        yield Fact("listening", "on loopback alone")
        return
    yield Caution(
        f"beyond loopback, {', '.join(places)} run any program sent to them, without a password: {NETWORK}"
    )


def beyond_loopback() -> tuple[str, ...]:
    """Addresses beyond loopback at which this process listens; in a first worker also its launcher."""
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
