"""The kernels compile for an H100 and give what their twin gives, on a GPU or else in an interpreter."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from interpreted import pass_with_kernels
from torch import Tensor

from gram.ops.phases import HalfLayer, HitBlocks, find_blocks

triton = pytest.importorskip("triton", reason="Triton is not installed: kernels cannot run here")

H100_SHARED_MEMORY, LEAST_SHARED_MEMORY = 227 * 1024, 99 * 1024
WIDTH, OUTPUTS, POINTS = 256, 4, 200


def one_configuration(monkeypatch: pytest.MonkeyPatch, place: int = 0) -> None:
    from gram.ops.kernels import sine_layer, weight_gradient

    for kernel in (
        sine_layer.forward_kernel, sine_layer.backward_kernel, weight_gradient.weight_gradient_kernel
    ):  # fmt: skip
        monkeypatch.setattr(kernel, "configs", [kernel.configs[place]])


def launch_all(half: torch.dtype, *, first: bool, view: bool, last: bool, hits: HitBlocks | None) -> None:
    """Every kernel for one layer: forward, head, backward and weight gradients."""
    from gram.ops.kernels import phase_layers as launchers

    def values(*shape: int, dtype: torch.dtype = half) -> Tensor:
        return torch.zeros(shape, dtype=dtype)

    phases = values(1, POINTS, WIDTH, dtype=torch.int16)
    coordinates = values(1, POINTS, 3, dtype=torch.float32) if first or view else None
    slope = values(1, WIDTH, 3, dtype=torch.float32) if first or view else None
    weight = None if first else values(1, WIDTH, WIDTH)
    layer = HalfLayer(weight, slope, values(1, WIDTH, dtype=torch.float32), values(OUTPUTS, WIDTH))
    out = values(1, POINTS, OUTPUTS, dtype=torch.float32)
    head = None if first else layer.head
    launchers.sine_layer(None if first else phases, head, layer, coordinates, hits, phases, out)
    if last:
        assert layer.head is not None
        launchers.add_head(phases, layer.head, hits, out)
    grad_out = values(1, POINTS, OUTPUTS)
    grad = None if last else values(1, POINTS, WIDTH)
    next_weight = None if last else values(1, WIDTH, WIDTH)
    launchers.sine_layer_backward(phases, grad, next_weight, grad_out, layer.head, coordinates, hits)
    launchers.weight_gradients(phases, grad, None if first else grad_out, hits)


@pytest.mark.parametrize(
    ("place", "half"), [("first", torch.float16), ("view", torch.float16), ("last", torch.bfloat16)]
)
def test_layers_of_every_kind_compile_for_an_h100(
    launches: list[Any], monkeypatch: pytest.MonkeyPatch, place: str, half: torch.dtype
) -> None:
    one_configuration(monkeypatch)
    hits = find_blocks(torch.ones(1, POINTS, dtype=torch.bool)) if place != "last" else None
    launch_all(half, first=place == "first", view=place == "view", last=place == "last", hits=hits)
    assert len(launches) == 3 + (place == "last")


@pytest.mark.slow
def test_every_configuration_compiles_for_an_h100_and_uses_its_tensor_cores(launches: list[Any]) -> None:
    from gram.ops.kernels.blocks import GRADIENTS, PRODUCTS

    hits = find_blocks(torch.ones(1, POINTS, dtype=torch.bool))
    launch_all(torch.float16, first=False, view=False, last=False, hits=hits)
    assert len(launches) == 2 * len(PRODUCTS) + len(GRADIENTS)
    for kernel in launches:
        assert kernel.metadata.shared <= H100_SHARED_MEMORY
        assert "wgmma.mma_async" in kernel.asm["ptx"]
        assert "sin.approx" in kernel.asm["ptx"] or "cos.approx" in kernel.asm["ptx"]


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 89, 120])
def test_the_smallest_blocks_compile_for_other_gpus_and_fit_the_least_of_them(
    launches: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one_configuration(monkeypatch, -1)
    hits = find_blocks(torch.ones(1, POINTS, dtype=torch.bool))
    launch_all(torch.float16, first=False, view=True, last=False, hits=hits)
    assert len(launches) == 3
    assert all(kernel.metadata.shared <= LEAST_SHARED_MEMORY for kernel in launches)
    assert all("mma.sync" in kernel.asm["ptx"] for kernel in launches)


@pytest.mark.slow
def test_kernels_give_what_their_twin_gives() -> None:
    pass_with_kernels("kernels_and_twin.py")


def test_without_triton_the_twin_runs() -> None:
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch, gram\n"
        "from gram.networks.layers import Film\n"
        "field = gram.networks.radiance.RadianceField(width=8, layers=2)\n"
        "field.matmul_dtype = torch.float16\n"
        "film = Film(*torch.zeros(2, 1, field.film_layers, 8))\n"
        "rgb, density = field(torch.zeros(1, 5, 3), torch.zeros(1, 5, 3), film)\n"
        "assert rgb.isfinite().all() and density.isfinite().all()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
