"""Command line: arguments, help, exit codes, signals, console output and progress."""
