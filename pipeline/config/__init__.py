"""Configuration: options, presets, params.yaml, and what is built from them."""
