"""viewer.html: the layered manifolds and meshes of an export as one page that needs nothing else."""

from pipeline.export.viewer.document import page, write

__all__ = ["page", "write"]
