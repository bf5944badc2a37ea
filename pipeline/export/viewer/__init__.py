"""3D viewer: layered representations and meshes on one self-contained HTML page."""

from pipeline.export.viewer.document import page, write

__all__ = ["page", "write"]
