"""Tracking: MLflow runs, local run logs, and fingerprints of what produced a result."""
