"""Extraction of surfaces, colours and baked layers from a generator."""
