"""`pipeline.pack`: a trained model as a small folder with a model card."""
