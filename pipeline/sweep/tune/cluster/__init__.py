"""Ray clusters: one that is there, or one of this machine that ends with the sweep."""
