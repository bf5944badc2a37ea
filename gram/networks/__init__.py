"""Networks of GRAM: mapping, radiance, manifold predictor, discriminator, learned sampling."""
