"""`python -m pipeline.runtime.launch.workers`: starts, follows and restarts the workers of one machine.

They rendezvous in a file that only the user can read, without a port. Several machines need one, and use
`pipeline.runtime.launch.accelerate`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pipeline.cli import parent_death
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.runtime.launch import exit_status

MEETING = "GRAM_MEETING"
"""Environment variable with the path of the rendezvous file; the launcher's lacks the attempt's number."""
LOST_SECONDS = 5
"""Seconds that workers have to notice the loss of another one."""
STOP_SECONDS = 100
"""Seconds that workers have to write a checkpoint after a signal, before they are killed."""
_LOOK_EVERY_SECONDS = 0.05


class Workers:
    """Worker processes, with the environment variables of torchrun for their ranks.

    Each has its own session, so that Ctrl-C reaches it once, through `send`.
    """

    def __init__(self, command: Sequence[str], count: int) -> None:
        self.asked: int | None = None
        """Last signal that requested their end."""
        self._command, self._count = command, count
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, meeting: Path) -> None:
        """Start all workers; `meeting` must be an unused file."""
        self._processes = []
        for rank in range(self._count):
            ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self._count}
            ranks["LOCAL_WORLD_SIZE"] = self._count
            own = {name: str(value) for name, value in ranks.items()}
            environment = {**os.environ, **parent_death.for_children(), **own, MEETING: str(meeting)}
            started = subprocess.Popen(self._command, env=environment, start_new_session=True)
            self._processes.append(started)
        if self.asked is not None:  # a request during the start
            self._send(self.asked)

    def send(self, number: int, frame: object = None) -> None:
        """Forward a request to stop to all running workers."""
        self.asked = number
        self._send(number)

    def first_failure(self) -> tuple[int, int] | None:
        """Wait until all have ended or one has failed; kill those that outlast a request to stop.

        Returns:
            Rank and exit code of the first failure, or None. Of several at a time, one that a signal killed:
            the others fail because of its loss.
        """
        deadline = None
        while True:
            codes = [process.poll() for process in self._processes]
            failed = [(code > 0, rank, code) for rank, code in enumerate(codes) if code]
            if failed and self.asked is None:
                _, rank, code = min(failed)
                return rank, code
            if all(code is not None for code in codes):
                return failed[0][1:] if failed else None
            if self.asked is not None:
                deadline = deadline or time.monotonic() + STOP_SECONDS
                if time.monotonic() > deadline:
                    self._send(signal.SIGKILL)
            time.sleep(_LOOK_EVERY_SECONDS)

    def end(self) -> None:
        """End running workers, with SIGKILL those that take longer than STOP_SECONDS.

        Those that notice the loss of another one have LOST_SECONDS to report it and end by themselves.
        """
        self._wait(LOST_SECONDS)
        self._send(signal.SIGTERM)
        self._wait(STOP_SECONDS)
        self._send(signal.SIGKILL)
        self._wait(None)

    def _wait(self, seconds: float | None) -> None:
        """Wait until all have ended, for a number of seconds at most."""
        deadline = None if seconds is None else time.monotonic() + seconds
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))

    def _send(self, number: int) -> None:
        for process in self._processes:
            process.send_signal(number)  # no effect on ended ones


def main(arguments: Sequence[str]) -> int:
    """Run COUNT processes and restart all if one dies; `arguments`: COUNT RESTARTS MODULE ARGUMENT..."""
    parent_death.hold()
    count, restarts, *command = arguments
    workers = Workers([sys.executable, "-m", *command], int(count))
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, workers.send)
    for attempt in range(int(restarts) + 1):
        workers.start(Path(f"{os.environ[MEETING]}-{attempt}"))
        failure = workers.first_failure()
        if failure is None:
            return 0
        workers.end()
        if workers.asked is not None:
            return EXIT_ERROR  # exit_status.FILE has their code
        exit_status.report_failure(*failure)
    return EXIT_ERROR


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
