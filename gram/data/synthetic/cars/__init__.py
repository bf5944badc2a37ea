"""Procedural cars: parametric bodies, meshes and paint, on white."""
