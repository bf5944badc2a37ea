"""The generator as a whole, model folders, latent files and released weights."""
