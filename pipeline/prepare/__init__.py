"""`pipeline.prepare`: data sets for training and measuring."""
