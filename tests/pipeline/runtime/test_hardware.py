"""Memory and cores that this process may use."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from pipeline.runtime import hardware

GIB = 2**30


def machine(root: Path, groups: str, files: Mapping[str, int | str]) -> Path:
    """A file system with 16 GiB of memory, 12 of them free, and these control groups."""
    (root / "proc/self").mkdir(parents=True)
    kib = {"MemTotal": 16 * 2**20, "MemFree": 2**20, "MemAvailable": 12 * 2**20}
    (root / "proc/meminfo").write_text("".join(f"{name}: {value:>12} kB\n" for name, value in kib.items()))
    (root / "proc/self/cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_without_limits_the_machine_is_what_there_is(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/\n", {})
    assert hardware.memory(root) == (16 * GIB, 12 * GIB, None)


def test_the_tightest_control_group_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {
        "job/task/memory.max": "max", "job/task/memory.current": GIB,
        "job/memory.max": 4 * GIB, "job/memory.current": 3 * GIB,
    }  # fmt: skip
    root = machine(tmp_path, "0::/job/task\n", files)
    assert hardware.memory(root) == (16 * GIB, GIB, 4 * GIB)


@pytest.mark.parametrize(
    ("limit", "expected"), [(8 * GIB, (6 * GIB, 8 * GIB)), (9223372036854771712, (12 * GIB, None))]
)
def test_control_groups_of_version_1_are_read(
    limit: int, expected: tuple[int, int | None], tmp_path: Path
) -> None:
    files = {"memory/job/memory.limit_in_bytes": limit, "memory/job/memory.usage_in_bytes": 2 * GIB}
    root = machine(tmp_path, "3:cpuset:/\n4:cpu,memory:/job\n", files)
    assert hardware.memory(root)[1:] == expected


def test_this_machine_has_memory_and_cores() -> None:
    memory = hardware.memory()
    assert 0 < memory.available <= memory.total
    assert hardware.free_memory(torch.device("cpu")) > 0
    assert hardware.cores() >= 1


@pytest.mark.parametrize(
    ("number", "text"), [(512, "0.5 KiB"), (3 * 2**20, "3.0 MiB"), (int(1.5 * GIB), "1.5 GiB")]
)
def test_amounts_are_short(number: int, text: str) -> None:
    assert hardware.amount(number) == text
