"""Triton's kernels run where they pass their check, unless the configuration refuses them."""

import pytest
import torch

from gram.analysis.kernel_check import KernelCheck
from gram.ops.backend import CPU, LEAN, TRITON, Backend
from pipeline.config.loader import load
from pipeline.runtime import device

HERE = torch.device("cpu")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose GPU has kernels; nothing here can run them."""

    def backend_of(device: torch.device, *, kernels: bool) -> Backend:
        return TRITON if kernels else LEAN

    monkeypatch.setattr(device, "backend_of", backend_of)


def backend(*options: str) -> Backend:
    return device.working_backend(load(["experiment=tiny", *options]).train, HERE)


def test_without_kernels_nothing_is_checked_or_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert backend() is CPU
    assert capsys.readouterr() == ("", "")


def test_kernels_that_pass_their_check_run_unless_the_configuration_refuses_them(
    kernels: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(device, "check_kernels", lambda device: KernelCheck([], None))
    assert backend() is TRITON
    assert backend("train.kernels=false") is LEAN
    assert capsys.readouterr() == ("", "")


def test_where_they_fail_plain_torch_takes_their_place_and_the_reason_is_told(
    kernels: None, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    assert backend() is LEAN
    told = "".join(capsys.readouterr())
    assert "Triton's kernels do not work on cpu (RuntimeError: 0 active drivers" in told
    assert "slower" in told


def test_a_generator_is_placed_with_its_backend(kernels: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from gram.model.folder import load_model

    generator = load_model("models/heads64")
    placed = device.place(generator, load(["experiment=tiny", "train.kernels=false"]).train)
    assert placed is generator
    assert placed.radiance.backend is placed.sampler.backend is LEAN
