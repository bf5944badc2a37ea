"""Camera geometry: rays, projection, poses and pose priors."""
