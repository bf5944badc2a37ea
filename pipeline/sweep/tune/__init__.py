"""Ray Tune: clusters, trials as processes, searchers and schedulers."""
