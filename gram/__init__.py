"""Generative Radiance Manifolds: 3D-aware images from learned isosurfaces (Deng et al., CVPR 2022).

    import gram
    model = gram.load_model("heads64")  # or a folder; device="cuda"
    model.sample(seeds=[0, 1], yaw=20, psi=0.7).images[0]
    model.turntable(seed=0)
    model.mesh(seed=0).export("head.glb")

For notebooks:

- models: `load_model` (a `Pretrained`, with the network as its `generator`), `Generator`, `save_model`,
  `read_latents`
- cameras: `look_at_origin`, `pixel_rays`, `GaussianPoses`, `SphericalPoses`, `mirror_poses`
- rendering: `Rays`, `intersect`, `composite`, `shade`; samplers are in `gram.rendering.samplers`
- surfaces: `visible_surface`, `write_glb`; more in `gram.meshing`
- metrics between sets of images: `measure`; more in `gram.metrics`

Surfaces and metrics need libraries that training does not; they are imported on first use.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from gram.geometry.cameras import Rays, look_at_origin, pixel_rays
from gram.geometry.poses import GaussianPoses, SphericalPoses, mirror_poses
from gram.model.folder import ModelError, save_model
from gram.model.generator import Generator, RenderedImages
from gram.model.latents import read_latents
from gram.rendering.compositing import composite
from gram.rendering.isosurfaces import intersect
from gram.rendering.render_rays import shade

if TYPE_CHECKING:
    from gram.extraction.pretrained import Pretrained, load_model
    from gram.extraction.surface import visible_surface
    from gram.meshing.files import write_glb
    from gram.metrics.fidelity import measure

_LATE = {
    "Pretrained": "gram.extraction.pretrained",
    "load_model": "gram.extraction.pretrained",
    "measure": "gram.metrics.fidelity",
    "visible_surface": "gram.extraction.surface",
    "write_glb": "gram.meshing.files",
}

__all__ = [
    "GaussianPoses",
    "Generator",
    "ModelError",
    "Pretrained",
    "Rays",
    "RenderedImages",
    "SphericalPoses",
    "composite",
    "intersect",
    "load_model",
    "look_at_origin",
    "measure",
    "mirror_poses",
    "pixel_rays",
    "read_latents",
    "save_model",
    "shade",
    "visible_surface",
    "write_glb",
]


try:
    __version__ = version("gram-manifolds")
except PackageNotFoundError:  # a copy that is not installed
    __version__ = "unknown"


def __getattr__(name: str) -> object:
    """Import a name of `_LATE` on first use."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
