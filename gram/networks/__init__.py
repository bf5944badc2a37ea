"""Networks of GRAM: mapping, radiance, manifold predictor, discriminator, sampling network."""
