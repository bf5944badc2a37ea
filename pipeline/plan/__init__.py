"""`pipeline.plan`: measured memory and time of a training step, and the largest batch that fits."""
