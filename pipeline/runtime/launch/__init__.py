"""Launch: a stage on many processes and machines, and how their ends are told."""
