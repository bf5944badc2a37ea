"""What the report of a run is put together from."""
