"""Backends: one for each kind of device, set on all parts of a model."""

import copy
import dataclasses

import pytest
import torch
from torch import nn

from gram.networks.manifold import ManifoldPredictor
from gram.networks.radiance import RadianceField
from gram.ops.backend import CPU, LEAN, TRITON, Backend, backend_of, shared_memory, use_backend


@pytest.mark.parametrize("kernels", [False, True])
def test_a_cpu_has_a_backend_of_its_own_and_other_devices_do_not_synchronise(kernels: bool) -> None:
    assert backend_of(torch.device("cpu"), kernels=kernels) is CPU
    assert backend_of(torch.device("meta"), kernels=kernels) is LEAN
    assert [backend.host_sync for backend in (CPU, LEAN, TRITON)] == [True, False, False]


@pytest.mark.parametrize(
    ("capability", "kernels", "expected"),
    [((8, 0), True, TRITON), ((9, 0), True, TRITON), ((7, 5), True, LEAN), ((9, 0), False, LEAN)],
)
def test_a_gpu_has_kernels_from_capability_8_on_unless_they_are_refused(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], kernels: bool, expected: Backend
) -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert backend_of.__wrapped__(torch.device("cuda", 0), kernels=kernels) is expected


def test_kernels_are_for_float32() -> None:
    assert TRITON.has_kernels_for(torch.zeros(1))
    assert not TRITON.has_kernels_for(torch.zeros(1).double())
    assert not LEAN.has_kernels_for(torch.zeros(1))


def test_a_backend_reaches_every_part_of_a_model_and_its_copies_and_nothing_else() -> None:
    model = nn.Sequential(RadianceField(width=4, layers=2), nn.Sequential(ManifoldPredictor(width=4)))
    other = ManifoldPredictor(width=4)
    use_backend(model, LEAN)
    for network in (model, copy.deepcopy(model)):
        parts = [part for part in network.modules() if isinstance(part, RadianceField | ManifoldPredictor)]
        assert [part.backend for part in parts] == [LEAN, LEAN]
    assert other.backend is None
    use_backend(model, None)
    assert all(getattr(part, "backend", None) is None for part in model.modules())


def test_a_backend_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CPU.kernels = True  # pyright: ignore[reportAttributeAccessIssue]


def test_shared_memory_bounds_nothing_where_there_is_none() -> None:
    assert shared_memory(torch.device("cpu")) > 2**30
