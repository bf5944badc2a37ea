"""Configuration: options, presets, params.yaml, command-line values, and their checks."""
