"""The parts of an export: files of one latent, and files about all of them."""
