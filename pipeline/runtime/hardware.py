"""Cores and memory that this process may use, within the limits of containers and batch systems."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

_UNLIMITED = 2**60
"""Bound above which version 1 of control groups means no limit."""


class Memory(NamedTuple):
    """Main memory in bytes."""

    total: int
    available: int  # to this process, within machine and control group
    limit: int | None  # of the control group, if any


def cores() -> int:
    """Number of cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory(root: Path = Path("/")) -> Memory:
    """Main memory, read from proc and sys below `root`."""
    fields = dict(re.findall(r"(\w+):\s+(\d+) kB", (root / "proc/meminfo").read_text(encoding="utf-8")))
    total, available = int(fields["MemTotal"]) * 1024, int(fields["MemAvailable"]) * 1024
    bounds = [(limit, used) for limit, used in _group_bounds(root) if limit < min(total, _UNLIMITED)]
    limit = min((limit for limit, _ in bounds), default=None)
    return Memory(total, min([available, *(max(limit - used, 0) for limit, used in bounds)]), limit)


def _group_bounds(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, use) in bytes of this process's control group and its ancestors."""
    groups = root / "proc/self/cgroup"
    if not groups.exists():
        return
    for line in groups.read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":  # version 2
            mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            mount, names = root / "sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        group = mount / path.strip("/")
        for folder in (group, *group.parents):
            limit, used = (folder / name for name in names)
            if limit.is_file() and used.is_file() and (text := limit.read_text("utf-8").strip()) != "max":
                yield int(text), int(used.read_text("utf-8"))
            if folder == mount:
                break


def free_memory(device: torch.device) -> int:
    """Free bytes on a device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory().available


def amount(number: float) -> str:
    """Format bytes in KiB, MiB or GiB."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 2**10:.1f} KiB"
