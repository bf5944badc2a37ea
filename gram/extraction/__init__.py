"""Extraction of surfaces, colors and baked layers from a generator."""
