"""Generative Radiance Manifolds: 3D-aware images from learned isosurfaces (Deng et al., CVPR 2022)."""

from gram.generator import Generator, RenderedImages
from gram.models import ModelError, load_model, save_model

__all__ = ["Generator", "ModelError", "RenderedImages", "load_model", "save_model"]
