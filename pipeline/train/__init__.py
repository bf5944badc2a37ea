"""`pipeline.train`: the training loop, its checkpoints, its best model and its end."""
