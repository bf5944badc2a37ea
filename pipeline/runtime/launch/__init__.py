"""Launch of a stage on several processes and machines, with its exit code."""
