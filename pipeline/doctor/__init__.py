"""Independent checks of `python -m pipeline.doctor`."""
