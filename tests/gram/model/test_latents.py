"""Files of latents: whole and readable, or refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from gram.model.latents import interpolate_latents, read_latents, write_latents


def test_latents_come_back_as_they_were(tmp_path: Path) -> None:
    z = torch.randn(3, 8)
    write_latents(tmp_path / "deep" / "z.safetensors", z)
    assert torch.equal(read_latents(tmp_path / "deep" / "z.safetensors", z_dim=8), z)


def test_one_latent_of_numpy_is_a_batch_of_one(tmp_path: Path) -> None:
    z = np.arange(8, dtype=np.float64)
    np.save(tmp_path / "z.npy", z)
    assert torch.equal(read_latents(tmp_path / "z.npy", z_dim=8), torch.arange(8.0)[None])


def array(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def tensors(**named: torch.Tensor) -> bytes:
    return safetensors.torch.save(named)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("absent.npy", None, "does not exist"),
        ("text.safetensors", b"hello", "no file of latents"),
        ("text.npy", b"hello", "no file of latents"),
        ("pickle.npy", array(np.array([{}])), "no file of latents"),
        ("short.npy", array(np.zeros((2, 8)))[:-9], "no file of latents"),
        (
            "huge.npy",
            array(np.zeros((2, 8))).replace(b"(2, 8), }       ", b"(99999999999,8),}"),
            "no file of",
        ),
        ("complex.npy", array(np.zeros((2, 8), complex)), "of kind complex128, not real numbers: give"),
        ("text2.npy", array(np.full((2, 8), "x")), "of kind str.*, not real numbers"),
        ("none.npy", array(np.zeros((0, 8))), r"of shape \(0, 8\), but"),
        ("deep.npy", array(np.zeros((1, 2, 8))), r"of shape \(1, 2, 8\), but"),
        ("one.npy", array(np.array(1.0)), r"of shape \(\), but"),
        ("short.safetensors", tensors(z=torch.zeros(2, 8))[:-9], "no file of latents"),
        ("other.safetensors", tensors(w=torch.zeros(2, 8)), "holds no tensor 'z'"),
        ("complex.safetensors", tensors(z=torch.zeros(2, 8, dtype=torch.complex64)), "of kind C64, not real"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.*{complaint}|{complaint}") as error:
        read_latents(tmp_path / name, z_dim=8)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_latents_of_another_model_are_refused_with_both_sizes(tmp_path: Path) -> None:
    write_latents(tmp_path / "z.safetensors", torch.zeros(2, 16))
    with pytest.raises(ValueError, match=r"\(2, 16\).*\(count, 8\)"):
        read_latents(tmp_path / "z.safetensors", z_dim=8)


def test_latents_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    write_latents(tmp_path / "z.safetensors", torch.full((1, 8), float("nan")))
    with pytest.raises(ValueError, match="not finite"):
        read_latents(tmp_path / "z.safetensors", z_dim=8)


def test_the_round_meets_every_latent_and_comes_back() -> None:
    z = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    steps = interpolate_latents(z, 3)
    assert steps.shape == (12, 64)
    torch.testing.assert_close(steps[::4], z)
    gaps = (steps - steps.roll(-1, 0)).norm(dim=1)
    assert gaps.max() < 1.6 * gaps.min()  # no jump, neither from the last to the first


def test_latents_on_the_way_are_as_long_as_their_ends() -> None:
    z = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    lengths = interpolate_latents(z, 4).norm(dim=1)
    assert lengths.min() >= z.norm(dim=1).min() - 1e-4
    assert lengths.max() <= z.norm(dim=1).max() + 1e-4


@pytest.mark.parametrize("factor", [1.0, -1.0, 0.0])
def test_the_way_between_latents_on_one_line_is_straight(factor: float) -> None:
    z = torch.randn(1, 8, generator=torch.Generator().manual_seed(0))
    steps = interpolate_latents(torch.cat([z, factor * z]), 1)
    torch.testing.assert_close(steps[1], (0.5 + factor / 2) * z[0])


def test_without_any_between_only_the_latents_are_left() -> None:
    z = torch.randn(4, 8)
    torch.testing.assert_close(interpolate_latents(z, 0), z)


def test_one_latent_has_no_way_to_go() -> None:
    z = torch.randn(1, 8)
    assert torch.equal(interpolate_latents(z, 5), z)
