"""GPUs that are not there: kernels can be compiled for them, not run."""

from pathlib import Path
from typing import Any

import pytest


class AbsentGpu:
    """Triton's driver of a device of this compute capability, times ten."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 1000 + self.capability  # what is compiled for it is kept apart

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.fixture
def capability() -> int:
    """That of an H100, where a test does not say otherwise."""
    return 90


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capability: int) -> list[Any]:
    """What launches compile to, instead of running."""
    pytest.importorskip("triton", reason="Triton is not installed: kernels cannot be compiled")
    from triton.runtime.driver import driver

    from gram.ops.kernels import crossings, phase_layers, relu_field, relu_gradient

    compiled: list[Any] = []

    def compile_only(kernel: Any, grid: Any, like: Any, *arguments: Any, **options: Any) -> None:
        result = kernel.warmup(*arguments, grid=(1,), **options)
        compiled.extend(result if isinstance(result, list) else [result])

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", AbsentGpu(capability))
    for module in (crossings, phase_layers, relu_field, relu_gradient):
        monkeypatch.setattr(module, "launch", compile_only)
    return compiled
