"""Files of latents: whole and readable, or refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gram.latents import read_latents, write_latents


def test_latents_come_back_as_they_were(tmp_path: Path) -> None:
    z = torch.randn(3, 8)
    write_latents(tmp_path / "deep" / "z.safetensors", z)
    assert torch.equal(read_latents(tmp_path / "deep" / "z.safetensors", z_dim=8), z)


def test_one_latent_of_numpy_is_a_batch_of_one(tmp_path: Path) -> None:
    z = np.arange(8, dtype=np.float64)
    np.save(tmp_path / "z.npy", z)
    assert torch.equal(read_latents(tmp_path / "z.npy", z_dim=8), torch.arange(8.0)[None])


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("absent.npy", None, "does not exist"),
        ("text.safetensors", b"hello", "no file of latents"),
        ("text.npy", b"hello", "no file of latents"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, name: str, content: bytes | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=complaint):
        read_latents(tmp_path / name, z_dim=8)


def test_latents_of_another_model_are_refused_with_both_sizes(tmp_path: Path) -> None:
    write_latents(tmp_path / "z.safetensors", torch.zeros(2, 16))
    with pytest.raises(ValueError, match=r"\(2, 16\).*\(count, 8\)"):
        read_latents(tmp_path / "z.safetensors", z_dim=8)


def test_latents_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    write_latents(tmp_path / "z.safetensors", torch.full((1, 8), float("nan")))
    with pytest.raises(ValueError, match="not finite"):
        read_latents(tmp_path / "z.safetensors", z_dim=8)
