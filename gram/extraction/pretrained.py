"""Trained models in notebooks: images, turntables and meshes of seeds, with angles in degrees.

Seeds give the latents of exports with the same seed:

    model = gram.load_model("heads64")
    model.sample(seeds=[0, 1], yaw=20, psi=0.7).images[0]
    model.turntable(seed=0)
    model.mesh(seed=0).export("head.glb")
"""

import base64
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import trimesh
from PIL import Image
from torch import Tensor

from gram.extraction.cameras import surface_poses, turntable
from gram.extraction.projected_colors import ProjectedColors
from gram.extraction.surface import visible_surface
from gram.geometry.poses import PosePrior
from gram.meshing import color_vertices, write_gif, write_glb, write_mp4, write_obj, write_ply
from gram.meshing.videos import encode_gif
from gram.model import folder
from gram.model.generator import Generator, to_pixels
from gram.model.latents import seed_latents
from gram.model.settings import pose_prior
from gram.shapes import Float, UInt8

SHIPPED = (Path(__file__).parents[1] / "models", Path(__file__).parents[2] / "models")
"""Folders of the models that come with the package: installed, and in a checkout."""
PSI = 0.7
"""Truncation of images that are shown."""
TURN = 0.6
"""Turn of heads to either side in turntables, radians."""
MESHES = {".glb": write_glb, ".obj": write_obj, ".ply": write_ply}
VIDEOS = {".gif": write_gif, ".mp4": write_mp4}


class SampledImages(NamedTuple):
    """Images of a batch, and their depth."""

    images: list[Image.Image]
    depth: Float[Tensor, "batch size size"]  # median depth along the ray


@dataclass(frozen=True)
class Turntable:
    """Images of one latent, turned; notebooks play them."""

    images: list[Image.Image]
    fps: int = 20

    @property
    def frames(self) -> UInt8[np.ndarray, "frames size size 3"]:
        """Images as an array."""
        return np.stack([np.asarray(image) for image in self.images])

    def save(self, path: str | Path) -> None:
        """Write a looping GIF or an MP4, by the suffix.

        Raises:
            ValueError: another suffix.
        """
        _writer(path, VIDEOS)(self.frames, path, fps=self.fps)

    def _repr_html_(self) -> str:
        gif = base64.b64encode(encode_gif(self.frames, fps=self.fps)).decode()
        return f'<img src="data:image/gif;base64,{gif}">'


@dataclass(frozen=True)
class Mesh:
    """Closed surface with vertex colours; `mesh` is a `trimesh.Trimesh`."""

    mesh: trimesh.Trimesh

    def export(self, path: str | Path) -> None:
        """Write GLB, OBJ or PLY, by the suffix.

        Raises:
            ValueError: another suffix.
        """
        _writer(path, MESHES)(self.mesh, path)


class Pretrained:
    """Trained generator with the image size and pose prior of its training.

    Args:
        generator: trained generator.
        size: side of its images, pixels.
        prior: poses that it was trained on; rendering others warns.
    """

    def __init__(self, generator: Generator, *, size: int, prior: PosePrior) -> None:
        self.generator, self.size = generator, size
        generator.prior = self.prior = prior

    @property
    def device(self) -> torch.device:
        """Device of the generator."""
        return next(self.generator.parameters()).device

    def latents(self, seeds: Sequence[int]) -> Float[Tensor, "count z_dim"]:
        """Latents of seeds, the same as in exports."""
        return seed_latents(seeds, self.generator.z_dim).to(self.device)

    def sample(
        self,
        seeds: Sequence[int] = (0,),
        *,
        yaw: int | float = 0,
        pitch: int | float = 0,
        psi: int | float = PSI,
        size: int | None = None,
    ) -> SampledImages:
        """Render one image per seed.

        Args:
            seeds: seeds of the latents.
            yaw: degrees from the front; positive: the face looks to the right of the image.
            pitch: degrees from the horizon; negative looks down from above.
            psi: truncation; 1 is none, 0 the mean image.
            size: side of the images, pixels; None is that of training.

        Example:
            >>> from gram import load_model
            >>> model = load_model("heads64")
            >>> model.sample(seeds=[0, 1], yaw=20, psi=0.7, size=16).images[0].size
            (16, 16)
        """
        z = self.latents(seeds)
        pose = [math.radians(90.0 + pitch), math.radians(90.0 + yaw)]
        return self._render(z, torch.tensor([pose]).expand(len(z), -1), psi, size)

    def turntable(
        self, seed: int = 0, *, frames: int = 40, psi: int | float = PSI, size: int | None = None
    ) -> Turntable:
        """Render one latent in a closed loop of views."""
        poses = turntable(self.generator, TURN, frames)
        z = self.latents([seed]).expand(frames, -1)
        return Turntable(self._render(z, poses, psi, size).images)

    def mesh(self, seed: int = 0, *, psi: int | float = PSI, resolution: int = 128) -> Mesh:
        """Extract the visible surface of one latent, with colours.

        Args:
            seed: seed of the latent.
            psi: truncation.
            resolution: lattice points along the longest side of the box.
        """
        (z,), poses = self.latents([seed]), surface_poses(self.generator, TURN)
        surface = visible_surface(self.generator, z, poses, psi=float(psi), resolution=resolution)
        return Mesh(color_vertices(surface, ProjectedColors(self.generator, z, poses, psi=float(psi))))

    def _render(self, z: Tensor, poses: Tensor, psi: int | float, size: int | None) -> SampledImages:
        rendered = self.generator.render(z, poses.to(z.device), size=size or self.size, psi=float(psi))
        images = [Image.fromarray(pixels) for pixels in to_pixels(rendered.image)]
        return SampledImages(images, rendered.median_depth.cpu())


def load_model(name: str | Path, *, device: str | torch.device | None = None) -> Pretrained:
    """Load a model by the name of a shipped one or by its folder.

    Args:
        name: folder that training or pack wrote, or a name such as `heads64`.
        device: None is a GPU if there is one.

    Raises:
        ModelError: there is no such model, or its folder is damaged.

    Example:
        >>> model = load_model("heads64")
        >>> model.size, type(model.prior).__name__
        (64, 'GaussianPoses')
    """
    path = _find(name)
    settings = folder.load_settings(path)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    generator = folder.load_model(path).to(device)
    return Pretrained(generator, size=settings["discriminator"]["size"], prior=pose_prior(settings))


def _find(name: str | Path) -> Path:
    path = Path(name)
    if (path / folder.SETTINGS).is_file():
        return path
    files = [file for root in SHIPPED for file in root.glob(f"*/{folder.SETTINGS}")]
    shipped = {file.parent.name: file.parent for file in files}
    if str(name) in shipped:
        return shipped[str(name)]
    known = ", ".join(sorted(shipped)) or "none"
    raise folder.ModelError(
        f"there is no model {str(name)!r}: neither a folder with {folder.SETTINGS} nor one of the shipped "
        f"models ({known})"
    )


def _writer(path: str | Path, writers: dict[str, Any]) -> Any:
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise ValueError(f"{path}: the name must end in {' or '.join(writers)}")
    return writers[suffix]
