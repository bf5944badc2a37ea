"""However a batch is cut into micro-batches and patches, images and gradients are the same."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from gram.geometry.poses import GaussianPoses
from gram.model.folder import build_generator
from gram.model.generator import Generator
from gram.training.fakes import Fakes

SIZE, BATCH = 8, 3
CUTS = [(3, 1), (2, 1), (1, 1), (3, 2), (3, 64), (2, 4), (1, 16)]
"""Micro-batches and patches."""


def make(generator: Generator, micro_batch: int, patches: int) -> Fakes:
    rng = torch.Generator().manual_seed(0)
    dtype = generator.mean_frequencies.dtype
    z = torch.randn(BATCH, generator.z_dim, generator=rng).to(dtype)
    poses = GaussianPoses().sample(BATCH, generator=rng).to(dtype)
    return Fakes(generator, z, poses, size=SIZE, micro_batch=micro_batch, patches=patches)


def probe(images: Tensor) -> Tensor:
    """The derivative of some loss by the images."""
    return torch.randn(images.shape, generator=torch.Generator().manual_seed(1)).to(images.dtype)


def gradients(generator: Generator, fakes: Fakes, derivative: Tensor) -> dict[str, Tensor]:
    generator.zero_grad()
    for rows in fakes.micro_batches():
        fakes.backward(rows, fakes.render(rows), derivative[rows])
    return {name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None}


@pytest.fixture(params=["linear", "refined", "white background", "view dependent"])
def built(request: pytest.FixtureRequest, settings: dict[str, Any]) -> Generator:
    changes = {
        "linear": ("sampler", {"mode": "linear"}),
        "refined": ("sampler", {"mode": "refined"}),
        "white background": ("sampler", {"background_z": None}),
        "view dependent": ("radiance", {"view_dependent": True}),
    }
    part, values = changes[request.param]
    settings[part] |= values
    torch.manual_seed(0)
    return build_generator(settings)


def compare(built: Generator, micro_batch: int, patches: int, again: bool, tolerance: float) -> None:
    whole = make(built, BATCH, 1)
    images = built.draw(whole.z, whole.poses, size=SIZE)
    derivative = probe(images)
    expected = torch.autograd.grad((images * derivative).sum(), list(built.parameters()))
    fakes = make(built, micro_batch, patches)
    shown = fakes.render_detached(keep=again)
    assert not shown.requires_grad
    torch.testing.assert_close(shown, images.detach(), rtol=tolerance, atol=tolerance)
    found = gradients(built, fakes, derivative)
    assert found.keys() == dict(built.named_parameters()).keys()
    for (name, gradient), other in zip(found.items(), expected, strict=True):
        assert float((gradient - other).norm() / other.norm()) < tolerance, name


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("micro_batch", "patches"), CUTS)
def test_images_and_gradients_do_not_depend_on_the_cut(
    built: Generator, micro_batch: int, patches: int, again: bool
) -> None:
    compare(built.double(), micro_batch, patches, again, tolerance=1e-9)


@pytest.mark.parametrize("patches", [2, 8, 64])
def test_patches_give_the_gradients_of_the_whole_in_float32_too(built: Generator, patches: int) -> None:
    compare(built, BATCH, patches, False, tolerance=1e-5)


def test_what_render_returns_are_the_images_that_were_shown(generator: Generator) -> None:
    for micro_batch, patches in CUTS:
        fakes = make(generator, micro_batch, patches)
        shown = fakes.render_detached(keep=True)
        for rows in fakes.micro_batches():
            assert torch.equal(fakes.render(rows).detach(), shown[rows])


def test_micro_batches_cover_the_batch_in_order(generator: Generator) -> None:
    rows = [list(range(BATCH))[part] for part in make(generator, 2, 1).micro_batches()]
    assert rows == [[0, 1], [2]]


class Meter:
    """Counts the numbers that autograd keeps, now and at most."""

    def __init__(self) -> None:
        self.now = self.peak = 0

    def pack(self, tensor: Tensor) -> "Held":
        return Held(self, tensor)


class Held:
    def __init__(self, meter: Meter, tensor: Tensor) -> None:
        self.tensor, self._meter = tensor, meter
        meter.now += tensor.numel()
        meter.peak = max(meter.peak, meter.now)

    def __del__(self) -> None:
        self._meter.now -= self.tensor.numel()


def test_patches_keep_fewer_activations(generator: Generator) -> None:
    peaks: dict[int, int] = {}
    for patches in (1, 4, 16):
        meter = Meter()
        with saved_tensors_hooks(meter.pack, lambda held: held.tensor):
            gradients(generator, make(generator, 1, patches), probe(torch.zeros(BATCH, 4, SIZE, SIZE)))
        peaks[patches] = meter.peak
        assert meter.now == 0
    assert peaks[4] < 0.4 * peaks[1]
    assert peaks[16] < 0.5 * peaks[4]  # weights are kept as well
