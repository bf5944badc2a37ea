"""Triton kernels, imported only by the Triton backend."""
