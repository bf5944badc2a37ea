"""Triton's kernels run where they work, unless the configuration says no."""

import pytest
import torch

from gram.system import devices
from pipeline.config.loader import load
from pipeline.runtime import device as kernels

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def undecided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "KERNELS", None)


def settle(*options: str) -> None:
    kernels.settle(load(["experiment=tiny", *options]).train, CPU)


def test_nothing_is_said_or_tried_where_there_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    settle()
    assert devices.KERNELS is None
    assert capsys.readouterr() == ("", "")


def test_the_configuration_may_say_no() -> None:
    settle("train.kernels=false")
    assert devices.KERNELS is False
    settle("train.kernels=true")  # and the next run of this process something else
    assert devices.KERNELS is None


def test_where_they_fail_plain_torch_takes_their_place_and_the_reason_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setattr(devices, "has_kernels", lambda device: True)  # but nothing here can run them
    settle()
    assert devices.KERNELS is False
    told = "".join(capsys.readouterr())
    assert "Triton's kernels do not work on cpu (RuntimeError: 0 active drivers" in told
    assert "slower" in told
