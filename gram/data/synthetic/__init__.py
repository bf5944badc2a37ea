"""Synthetic data sets: heads and cars with known depth, ray cast on the CPU."""
