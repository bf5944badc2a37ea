"""Averages follow their formula, warm-up included."""

import pytest
import torch
from torch import nn

from gram.training.ema import averaged_copy


def weight_of(copy: nn.Module) -> torch.Tensor:
    return dict(copy.named_parameters())["module.weight"]


def set_to(model: nn.Linear, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_averages_follow_the_formula(decay: float) -> None:
    model = nn.Linear(2, 1)
    copy = averaged_copy(model, decay)
    expected = 0.0
    for n in range(30):
        value = float((7 * n) % 5)
        set_to(model, value)
        copy.update_parameters(model)
        keep = min(decay, (1 + n) / (10 + n)) if n else 0.0  # the first update is a copy
        expected = keep * expected + (1 - keep) * value
        torch.testing.assert_close(weight_of(copy), torch.full((1, 2), expected))


def test_a_long_average_forgets_the_initial_weights_during_warm_up() -> None:
    model = nn.Linear(2, 1)
    set_to(model, 100.0)
    copy = averaged_copy(model, 0.9999)
    copy.update_parameters(model)
    set_to(model, 0.0)
    for _ in range(50):
        copy.update_parameters(model)
    assert 0.0 < float(weight_of(copy)[0, 0]) < 1e-4  # 0.9999 alone would still be at 99.5


def test_buffers_are_averaged_too() -> None:
    class WithBuffer(nn.Linear):
        mean: torch.Tensor

        def __init__(self) -> None:
            super().__init__(1, 1)
            self.register_buffer("mean", torch.zeros(1))

    model = WithBuffer()
    copy = averaged_copy(model, 0.5)
    for value in (1.0, 2.0):
        model.mean.fill_(value)
        copy.update_parameters(model)
    keep = 2 / 11  # of the second update
    torch.testing.assert_close(copy.get_buffer("module.mean"), torch.tensor([keep * 1.0 + (1 - keep) * 2.0]))


def test_the_copy_is_apart_frozen_and_in_evaluation_mode() -> None:
    model = nn.Linear(2, 1)
    copy = averaged_copy(model, 0.9)
    assert not copy.training
    assert not any(p.requires_grad for p in copy.parameters())
    assert all(p.requires_grad for p in model.parameters())
    before = weight_of(copy).clone()
    set_to(model, 9.0)
    assert torch.equal(weight_of(copy), before)


@pytest.mark.parametrize("decay", [-0.1, 1.0, 1.5])
def test_a_decay_outside_zero_to_one_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"EMA decay {decay}: a value in \[0, 1\) is needed"):
        averaged_copy(nn.Linear(1, 1), decay)
