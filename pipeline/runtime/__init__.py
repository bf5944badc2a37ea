"""Runtime of the stages: objects from configuration, processes, devices, signals, estimates, outputs."""
