"""Training step: losses, batches, precision, distributed averages, state and checkpoints."""
