"""The stages: configuration in, files and tracked runs out. All method lives in `gram`."""
