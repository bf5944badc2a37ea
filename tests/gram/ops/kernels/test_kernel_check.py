"""Kernels are tried before they are relied on, and their failure is told, not suffered."""

from typing import Any

import pytest
import torch
from interpreted import pass_with_kernels

from gram.analysis import kernel_check
from gram.ops.backend import LEAN
from gram.rendering.isosurfaces import Intersections, intersect

CPU = torch.device("cpu")


@pytest.mark.parametrize("width", [20, 32, 128, 256])
def test_rounding_decides_about_no_hit(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    def watched(*arguments: Any, **options: Any) -> Intersections:
        seen.append(intersect(*arguments, **options))
        return seen[-1]

    seen: list[Intersections] = []
    monkeypatch.setattr(kernel_check, "intersect", watched)
    monkeypatch.setattr(kernel_check, "_difference", lambda results: len(results(LEAN)))
    kernel_check.check_kernels(CPU, manifold_width=width)
    (hits,) = seen
    assert hits.hit[..., :-1].all()
    assert not hits.hit[..., -1].any()
    distances = hits.t[..., :-1]
    assert distances.amin() > 0.8801
    assert distances.amax() < 1.1199


@pytest.mark.slow
def test_the_check_tells_kernels_that_work_from_those_that_do_not() -> None:
    pass_with_kernels("check_of_kernels.py")


def test_where_there_is_no_driver_it_says_so() -> None:
    pytest.importorskip("triton", reason="Triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a driver")
    found, failure = kernel_check.check_kernels(CPU)
    assert not found
    assert failure is not None
    assert "driver" in failure


def test_a_device_that_an_error_has_made_unusable_ends_the_run_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unusable(*arguments: object, **options: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(kernel_check, "_differences", unusable)
    monkeypatch.setattr(torch, "zeros", unusable)
    with pytest.raises(RuntimeError, match=r"illegal memory access.*train\.kernels=false"):
        kernel_check.check_kernels(CPU)
