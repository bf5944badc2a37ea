"""Which way is taken where, and how a test takes the other one."""

import pytest
import torch

from gram.system import devices
from gram.system.devices import is_off_cpu, runs_kernels, shared_memory


def test_a_cpu_takes_its_own_ways() -> None:
    tensor = torch.zeros(1)
    assert not is_off_cpu(tensor)
    assert not runs_kernels(tensor)
    assert is_off_cpu(tensor.to("meta"))
    assert not runs_kernels(tensor.to("meta"))


def test_tests_choose_and_kernels_are_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "LEAN", True)
    monkeypatch.setattr(devices, "KERNELS", True)
    assert is_off_cpu(torch.zeros(1))
    assert runs_kernels(torch.zeros(1))
    assert not runs_kernels(torch.zeros(1).double())


def test_shared_memory_bounds_nothing_where_there_is_none() -> None:
    assert shared_memory(torch.device("cpu")) > 2**30
