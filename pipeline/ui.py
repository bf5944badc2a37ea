"""`python -m pipeline.ui [PORT]`: MLflow's web page of all runs, on 127.0.0.1 only."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from pipeline.cli.command import explained
from pipeline.cli.console import say
from pipeline.cli.exit_codes import EXIT_USAGE
from pipeline.config.loader import resolve
from pipeline.tracking.mlflow.store import open_store

HOST = "127.0.0.1"
USAGE = "usage: python -m pipeline.ui [PORT], a number from 1 to 65535; without one, 5000"


def main(arguments: Sequence[str]) -> int:
    """Run MLflow's web server in this process, or print the address of a remote one."""
    word = arguments[0] if arguments else "5000"
    if len(arguments) > 1 or not (word.isascii() and word.isdecimal() and 0 < int(word) < 2**16):
        say(f"ui: {' '.join(arguments)} is no port; {USAGE}")
        return EXIT_USAGE
    return explained("ui", lambda: _serve(word))


def _serve(port: str) -> int:
    _require_free(int(port))
    resolved = resolve(["tracking=mlflow"])
    resolved.hand_over()
    uri = open_store(resolved.config.tracking).tracking_uri
    if uri.startswith("http"):
        say(f"the runs are on {uri}")
        return 0
    say(f"MLflow: http://{HOST}:{port} (Ctrl-C ends it), runs of {uri}")
    _become_server(uri, port)


def _require_free(port: int) -> None:
    """Refuse a port that is in use or not permitted."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            probe.bind((HOST, port))
        except OSError as error:
            remedy = "free it, or choose another: python -m pipeline.ui PORT (make ui MLFLOW_PORT=PORT)"
            raise OSError(f"port {port} of {HOST} is not available ({error.strerror}): {remedy}") from None


def _become_server(uri: str, port: str) -> NoReturn:
    """Replace this process by the server; MLflow's child process would outlive it when killed."""
    from mlflow import cli, server

    def execute(command: Sequence[str], *, extra_env: Mapping[str, str], **_: object) -> NoReturn:
        os.execvpe(command[0], list(command), {**os.environ, **extra_env})

    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # one fourth of the start-up time
    server._exec_cmd = execute  # pyright: ignore[reportPrivateImportUsage]
    options = ["--backend-store-uri", uri, "--host", HOST, "--port", port, "--workers", "1"]
    sys.exit(cli.cli(["ui", *options]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
