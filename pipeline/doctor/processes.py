"""Check of the launched processes: rendezvous, agreement, and a correct all-reduce."""

import os
import platform
import socket
import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.distributed as dist

from gram.model import folder
from pipeline.config.schema import Config
from pipeline.doctor import sockets
from pipeline.doctor.findings import Fact, Finding, Problem
from pipeline.runtime import build, scene
from pipeline.runtime.launch import exit_status, workers
from pipeline.runtime.launch import start as launch
from pipeline.runtime.processes import Team, join
from pipeline.tracking.fingerprint import fingerprint

REPETITIONS = 5


class Card(NamedTuple):
    """Description of a process, sent to the others."""

    host: str
    device: str
    python: str
    torch: str
    mark: str  # fingerprint of program, configuration and data, or the error
    failed: bool
    listening: tuple[str, ...] = ()  # addresses reachable from other machines


class Meeting(NamedTuple):
    """Result of a rendezvous of all processes."""

    cards: list[Card]
    backend: str
    bytes: int  # of the averaged message, as long as the gradients of both networks
    seconds: float  # of an all-reduce
    right: bool


def size() -> int:
    """Number of launched processes."""
    return int(os.environ["WORLD_SIZE"]) if exit_status.is_worker() else 1


def rank() -> int:
    """Rank of this process."""
    return int(os.environ["RANK"]) if exit_status.is_worker() else 0


def processes(config: Config) -> Iterator[Finding]:
    """Rendezvous and report, in the first process; the others `attend`."""
    if size() == 1:
        yield from _alone(config)
        return
    yield Fact("waiting", f"for {size()} processes {_place()}")
    meeting = attend(config)
    yield from introductions(meeting.cards)
    yield from sockets.found([card.listening for card in meeting.cards])
    megabytes = meeting.bytes / 1e6
    speed = f"{megabytes:.1f} MB in {meeting.seconds * 1e3:.1f} ms"
    if meeting.right:
        yield Fact("all-reduce", f"correct on every process; {speed} through {meeting.backend}")
    else:
        yield Problem(
            f"an all-reduce through {meeting.backend} gives a wrong mean",
            "run again with NCCL_DEBUG=INFO, and with NCCL_P2P_DISABLE=1 to rule out the links between GPUs",
        )


def _place() -> str:
    """Place of the rendezvous: a port, or on one machine a file."""
    if workers.MEETING in os.environ:
        return "of this machine"
    return f"at {os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"


def attend(config: Config) -> Meeting:
    """Rendezvous with all processes; ValueError if the device, or the precision on it, is not available."""
    with join(config) as team:
        cards = _exchange(_introduce(config, team), team)
        message = torch.full((_gradients(config),), team.processes.rank + 1.0, device=team.device)
        seconds = [_timed_average(team, message.clone()) for _ in range(REPETITIONS)]
        team.processes.average([message])
        mean = (team.processes.size + 1) / 2
        wrong = team.processes.largest(int(not bool((message == mean).all())))
        return Meeting(cards, dist.get_backend(), message.nbytes, statistics.median(seconds), not wrong)


def _alone(config: Config) -> Iterator[Finding]:
    yield Fact("launched", "as one process: there is nothing to average")
    launch.check(config, build.device(config.train.device))
    yield from sockets.planned(config)


def _introduce(config: Config, team: Team) -> Card:
    device = str(team.device)
    if team.device.type == "cuda":
        device += f" ({torch.cuda.get_device_name(team.device)})"
    try:
        data_hash = scene.open_dataset(config.paths.train_data, config.data).content_hash
        mark, failed = fingerprint(config, data_hash=data_hash), False
    except Exception as error:  # any error: the others wait
        mark, failed = f"{error}", True
    listening = sockets.beyond_loopback()
    versions = platform.python_version(), torch.__version__
    return Card(socket.gethostname(), device, *versions, mark, failed, listening)


def _exchange(mine: Card, team: Team) -> list[Card]:
    cards: list[Card] = [mine] * team.processes.size
    dist.all_gather_object(cards, mine, group=team.processes.control)
    return cards


def _timed_average(team: Team, message: torch.Tensor) -> float:
    team.processes.largest(0)  # all start together
    start = time.perf_counter()
    team.processes.average([message])
    if message.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _gradients(config: Config) -> int:
    """Number of gradients of both networks, which training averages in each step."""
    settings = build.model_settings(config, scene.planned_meta(config.data))
    networks = folder.build_generator(settings), folder.build_discriminator(settings)
    return sum(parameter.numel() for network in networks for parameter in network.parameters())


def introductions(cards: list[Card]) -> Iterator[Finding]:
    """Hosts and devices of all processes, and differences to the majority."""
    for number, card in enumerate(cards):
        yield Fact(f"process {number}", f"{card.host}, {card.device}")
    for what, values in (
        ("Python", [card.python for card in cards]),
        ("torch", [card.torch for card in cards]),
        ("fingerprint of program, configuration and data", [card.mark for card in cards]),
    ):
        usual = statistics.mode(values)
        others = [f"process {number} has {value}" for number, value in enumerate(values) if value != usual]
        if others:
            text = "\n".join([f"{what}: most processes have {usual}", *others])
            yield Problem(text, "give every machine the same program, configuration and data")
    if all(card.failed for card in cards):
        yield Problem(f"no process can read the data: {cards[0].mark}")
    gpus = [(card.host, card.device) for card in cards if card.device.startswith("cuda")]
    if len(set(gpus)) < len(gpus):
        yield Problem("several processes share a GPU", "launch as many processes as there are GPUs")
