"""Tracking: MLflow runs, local run logs, fingerprints of programs and digests of models."""
