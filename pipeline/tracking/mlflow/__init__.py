"""MLflow: store of runs, outbox of calls that may wait or fail, and later delivery."""
