"""What `python -m pipeline.doctor` looks at: checks that know nothing of each other."""
