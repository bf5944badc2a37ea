"""MLflow: the store of runs, calls that may wait or fail, and what is sent later."""
