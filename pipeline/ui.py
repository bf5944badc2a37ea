"""`python -m pipeline.ui [PORT]`: MLflow's web page with all runs, on 127.0.0.1 only."""

import os
import sys

from pipeline.cli import explained
from pipeline.config import load
from pipeline.console import say
from pipeline.store import open_store


def main(port: str = "5000") -> None:
    """Replace this process by MLflow's web server; where runs are on a server already, say its address."""
    uri = open_store(load(["tracking=mlflow"]).tracking).tracking_uri
    if uri.startswith("http"):
        say(f"the runs are on {uri}")
        return
    say(f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it), runs of {uri}")
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # one fourth of the start-up time
    options = ["--backend-store-uri", uri, "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options])


if __name__ == "__main__":
    sys.exit(explained("ui", lambda: main(*sys.argv[1:2])))
