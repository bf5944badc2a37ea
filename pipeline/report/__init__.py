"""Report stage: one HTML page about a run."""
