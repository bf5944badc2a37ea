"""The command line: arguments, help, exit codes, console output and progress."""
