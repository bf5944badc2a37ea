"""Exit codes of all commands, and their table in --help."""

import signal

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_REQUEUE = 85
"""Stopped by SIGTERM or SIGUSR1 with a checkpoint: the same command resumes. HTCondor's convention."""
EXIT_HANGUP = 129
"""Stopped with a checkpoint when the terminal closed: the same command resumes."""
EXIT_INTERRUPTED = 130
"""Stopped by Ctrl-C with a checkpoint: the same command resumes."""

STOPPED = {
    signal.SIGHUP: EXIT_HANGUP,
    signal.SIGINT: EXIT_INTERRUPTED,
    signal.SIGTERM: EXIT_REQUEUE,
    signal.SIGUSR1: EXIT_REQUEUE,
}
"""Exit code of a stage that stopped with a checkpoint, by the signal that requested it."""

TABLE = f"""Exit codes
  0    done
  {EXIT_ERROR}    error in the data, the model or the machine; the message names it
  {EXIT_USAGE}    error in the configuration; the message names the option
  128+n  ended by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129 when the terminal closed"""


def killed_by(number: int) -> int:
    """Exit code of a process that a signal ended, as shells report it."""
    return 128 + number
