"""System: devices, threads, memory, locks, and files that are written whole and read within bounds."""
