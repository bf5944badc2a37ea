"""System: devices, threads, memory, locks, atomic writing and bounded reading of files."""
