"""`pipeline.plan`: measured memory and time of training steps, and the largest micro-batch that fits."""
