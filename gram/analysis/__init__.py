"""Analysis of generators without changing weights: health, distances, inversion, sampling noise."""
