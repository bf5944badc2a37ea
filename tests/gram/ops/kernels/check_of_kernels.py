"""Check of kernels that work and of kernels that do not. Run by test_kernel_check.py."""

from typing import Any

import interpreted
import pytest
import torch

from gram.analysis import kernel_check
from gram.ops.kernels import crossings, phase_layers, relu_gradient

DEVICE = torch.device(interpreted.DEVICE)


@pytest.fixture(autouse=True)
def few_rays(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE.type == "cpu":
        monkeypatch.setattr(kernel_check, "SIZE", 5)


def test_kernels_that_work_pass_and_all_is_as_before() -> None:
    rng = torch.get_rng_state()
    found, failure = kernel_check.check_kernels(DEVICE, width=24, manifold_width=20)
    assert failure is None
    assert [d.network for d in found] == ["radiance field", "manifold predictor"]
    assert all(0.0 < d.largest < d.limit / 10 for d in found)
    assert str(kernel_check.KernelCheck(found, failure)).startswith("as plain torch, to radiance field")
    assert torch.equal(torch.get_rng_state(), rng)


@pytest.mark.parametrize("factor", [1.1, float("nan")])
def test_gradients_that_are_wrong_or_no_numbers_are_named(
    monkeypatch: pytest.MonkeyPatch, factor: float
) -> None:
    def of_weights(*arguments: Any) -> Any:
        weight, head = weight_gradients(*arguments)
        return None if weight is None else weight * factor, head

    def of_a_head(*arguments: Any, **options: Any) -> Any:
        found = gradients(*arguments, **options)
        return found._replace(head=found.head * factor)

    weight_gradients, gradients = phase_layers.weight_gradients, relu_gradient.gradients
    monkeypatch.setattr(phase_layers, "weight_gradients", of_weights)
    failure = str(kernel_check.check_kernels(DEVICE).failure)
    assert "radiance field" in failure
    assert "manifold" not in failure
    monkeypatch.setattr(relu_gradient, "gradients", of_a_head)
    assert "manifold predictor" in str(kernel_check.check_kernels(DEVICE).failure)


def test_crossings_that_are_not_found_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def miss_half(*arguments: Any) -> Any:
        start, hit = original(*arguments)
        hit[:, ::2] = False
        return start, hit

    original = crossings.first_crossings
    monkeypatch.setattr(crossings, "first_crossings", miss_half)
    assert "manifold predictor" in str(kernel_check.check_kernels(DEVICE).failure)


def test_an_error_is_told_by_its_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise KeyError("out of registers\nand a long listing")

    monkeypatch.setattr(phase_layers, "add_head", fail)
    assert kernel_check.check_kernels(DEVICE) == ([], "KeyError: 'out of registers\\nand a long listing'")
