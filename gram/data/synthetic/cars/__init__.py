"""Cars: parametric bodies, their triangles and paint, on white."""
