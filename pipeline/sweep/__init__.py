"""Parts of `pipeline.sweep`: search spaces, trials on a cluster, and what is made of their results."""
