"""Rendering of rays: isosurface intersections, samplers, compositing."""
