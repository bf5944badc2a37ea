"""`pipeline.prepare`: data sets for training and evaluation."""
