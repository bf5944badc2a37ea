"""An H100 that is not there: kernels can be compiled for it, not run."""

from pathlib import Path
from typing import Any

import pytest


class AbsentGpu:
    """Triton's driver of that device."""

    def get_current_target(self) -> Any:
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Any]:
    """What launches compile to, instead of running."""
    pytest.importorskip("triton", reason="Triton is not installed: kernels cannot be compiled")
    from triton.runtime.driver import driver

    from gram.kernels import crossings, relu_field, relu_gradient

    compiled: list[Any] = []

    def compile_only(kernel: Any, grid: Any, like: Any, *arguments: Any, **options: Any) -> None:
        result = kernel.warmup(*arguments, grid=(1,), **options)
        compiled.extend(result if isinstance(result, list) else [result])

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(driver, "_active", AbsentGpu())
    for module in (crossings, relu_field, relu_gradient):
        monkeypatch.setattr(module, "launch", compile_only)
    return compiled
