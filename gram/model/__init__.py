"""Generator, model folders, latent files and released weights."""
