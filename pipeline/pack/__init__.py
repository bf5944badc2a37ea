"""`pipeline.pack`: small folder of a trained model with a model card."""
