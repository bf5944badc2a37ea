"""viewer.html: the layered manifolds and meshes of an export as one page that needs nothing else."""

from pipeline.viewer.document import page, write
from pipeline.viewer.way import bake_way

__all__ = ["bake_way", "page", "write"]
