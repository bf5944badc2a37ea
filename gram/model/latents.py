"""Latent files, and interpolation between latents."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from gram.shapes import Float
from gram.system import documents, tensor_files
from gram.system.folders import write_file

KEY = "z"
"""Name of the tensor in a safetensors file."""


def read_latents(path: str | Path, *, z_dim: int) -> Float[Tensor, "count {z_dim}"]:
    """Read latents from a file, as float32.

    Args:
        path: `.safetensors` with a tensor `z`, or `.npy`; (count, z_dim), or (z_dim,) for one.
        z_dim: latent dimension of the generator.

    Raises:
        ValueError: the file is missing, not a latent file, or does not fit the generator.
    """
    path = Path(path)
    z = _read(path, z_dim)
    if not z.isfinite().all():
        raise ValueError(f"{path} holds latents that are not finite: give latents of this model")
    return z.view(-1, z_dim)


def seed_latents(seeds: Sequence[int], z_dim: int) -> Float[Tensor, "count {z_dim}"]:
    """Draw the latent z ~ N(0, I) of each seed.

    Example:
        >>> seed_latents([0, 7], 128).shape
        torch.Size([2, 128])
    """
    rng = torch.Generator()
    return torch.stack([torch.randn(z_dim, generator=rng.manual_seed(seed)) for seed in seeds])


def write_latents(path: str | Path, z: Float[Tensor, "count z_dim"]) -> None:
    """Write a safetensors file atomically."""
    write_file(Path(path), safetensors.torch.save({KEY: z.detach().cpu().contiguous()}))


def interpolate_latents(z: Float[Tensor, "count z_dim"], between: int) -> Float[Tensor, "steps z_dim"]:
    """Interpolate in a closed loop through all latents, from each to the next and back to the first.

    Interpolation is spherical with linearly changing lengths: latents half-way on a straight line in many
    dimensions are so short that they yield the average face.

    Args:
        z: at least one latent; a single one is returned as it is.
        between: number of latents between two neighbours.

    Returns:
        count * (between + 1) latents, starting with z[0].
    """
    if len(z) == 1:
        return z
    fractions = torch.arange(between + 1, dtype=z.dtype, device=z.device)[:, None] / (between + 1)
    return torch.cat([_arc(a, b, fractions) for a, b in zip(z, z.roll(-1, 0), strict=True)])


def _arc(
    start: Float[Tensor, " z_dim"], end: Float[Tensor, " z_dim"], fractions: Float[Tensor, "steps 1"]
) -> Float[Tensor, "steps z_dim"]:
    # unit vectors and the angle between them
    lengths = torch.stack([start.norm(), end.norm()])
    a, b = (v / length.clamp_min(1e-12) for v, length in zip((start, end), lengths, strict=True))
    angle = torch.acos((a @ b).clamp(-1.0, 1.0))
    if lengths.min() == 0 or angle.sin() < 1e-3:  # the arc is undefined or not unique
        return torch.lerp(start, end, fractions)
    direction = (torch.sin((1.0 - fractions) * angle) * a + torch.sin(fractions * angle) * b) / angle.sin()
    return direction * torch.lerp(lengths[0], lengths[1], fractions)


def _read(path: Path, z_dim: int) -> Tensor:
    """Read latents after the header of the file was checked."""
    if not path.is_file():
        raise ValueError(f"the file of latents {path} does not exist")
    if path.suffix == ".npy":
        return _read_array(path, z_dim)
    try:
        stored = tensor_files.stored(path)
    except tensor_files.TensorFileError as error:
        raise ValueError(f"{path} is no file of latents, .safetensors or .npy: {error}") from error
    if KEY not in stored:
        raise ValueError(f"{path} holds no tensor {KEY!r}: latents are stored under that name")
    shape, kind = stored[KEY]
    _require_fit(path, shape, z_dim, kind, real=kind in tensor_files.FLOATS)
    with safetensors.safe_open(path, framework="pt") as file:
        return file.get_tensor(KEY).float()


def _read_array(path: Path, z_dim: int) -> Tensor:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        shape, kind = array.shape, array.dtype
    except Exception as error:  # a damaged header raises whatever its parser does
        words = documents.one_line(error)
        raise ValueError(f"{path} is no file of latents, .safetensors or .npy: {words}") from error
    _require_fit(path, shape, z_dim, kind.name, real=kind.kind in "fiu")
    return torch.from_numpy(array.astype(np.float32))


def _require_fit(path: Path, shape: tuple[int, ...], z_dim: int, kind: str, *, real: bool) -> None:
    if len(shape) not in (1, 2) or shape[-1] != z_dim or shape[0] == 0:
        raise ValueError(
            f"{path} holds latents of shape {shape}, but this model takes (count, {z_dim}): "
            "give latents of the same model"
        )
    if not real:
        raise ValueError(f"{path} holds latents of kind {kind}, not real numbers: give latents of this model")
