"""Geometry of cameras: rays, projections, poses and their priors."""
