"""Processes and devices of a stage: launch, signals, estimates and owned output folders."""
