"""Analysis of generators: health, distances, inversion, sampling noise; it changes no weights."""
