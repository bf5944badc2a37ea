"""Generative Radiance Manifolds: 3D-aware images from learned isosurfaces (Deng et al., CVPR 2022)."""

from gram.model.folder import ModelError, load_model, save_model
from gram.model.generator import Generator, RenderedImages

__all__ = ["Generator", "ModelError", "RenderedImages", "load_model", "save_model"]
