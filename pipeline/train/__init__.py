"""Training stage: loop, checkpoints, best model and collapse detection."""
