"""Stages that are ended by signals: a process that has all modules loaded forks a child for every attempt."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crash_points import Recorder
from stages import stage_module

from pipeline.config.yaml_reading import PROJECT

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Stages:
    """Runs stages in children of a process that is loaded already.

    Args:
        process: started by `loaded`.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, stage: str, arguments: Sequence[str], *, after: float = 0.0, sent: int = 0) -> int | None:
        """The exit code of a stage; None if the signal, sent after so many seconds, ended it."""
        return self._ask(stage, arguments, after=after, sent=sent)[0]

    def record(self, stage: str, arguments: Sequence[str], outputs: Sequence[Path], to: Path) -> int | None:
        """The exit code of a stage of whose outputs copies are taken before each change (`Recorder`)."""
        return self._ask(stage, arguments, outputs=[str(output) for output in outputs], to=str(to))[0]

    def together(self, stage: str, arguments: Sequence[str], messages: Sequence[Path]) -> list[int | None]:
        """Exit codes of several processes that begin at once, each with a file for what it says."""
        return self._ask(stage, arguments, messages=[str(file) for file in messages])

    def _ask(self, stage: str, arguments: Sequence[str], **more: Any) -> list[int | None]:
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"stage": stage, "arguments": [*arguments], **more}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def loaded() -> Iterator[Stages]:
    """Stages whose modules are loaded once."""
    process = subprocess.Popen(
        [sys.executable, __file__], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        yield Stages(process)
    finally:
        process.kill()
        process.communicate()


def moments(seconds: float, count: int, *, seed: int) -> Iterator[tuple[float, signal.Signals]]:
    """Moments within a stage that takes so long, and what is sent then."""
    rng = random.Random(seed)
    for number in range(count):
        yield rng.uniform(0.0, seconds), SIGNALS[number % len(SIGNALS)]


def _serve() -> None:
    import importlib

    importlib.import_module("gram.metrics")
    importlib.import_module("matplotlib.pyplot")
    stages = {
        name: stage_module(name)
        for name in ("prepare", "train", "evaluate", "export", "report", "pack", "noise")
    }
    for line in sys.stdin:
        request = json.loads(line)
        files = request.get("messages", [None])
        children = [_forked(stages[request["stage"]], request, file) for file in files]
        if request.get("sent"):
            time.sleep(request["after"])
            os.kill(children[0], request["sent"])
        print(json.dumps([_code(child) for child in children]), flush=True)  # noqa: T201


def _forked(module: object, request: Mapping[str, Any], messages: str | None) -> int:
    """The number of a child that runs a stage."""
    child = os.fork()
    if child == 0:
        if messages is not None:
            os.dup2(os.open(messages, os.O_WRONLY | os.O_CREAT), 2)
        if "outputs" in request:
            Recorder([Path(output) for output in request["outputs"]], Path(request["to"])).start()
        _be(module, request["arguments"])
    return child


def _code(child: int) -> int | None:
    _, status = os.waitpid(child, 0)
    code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
    return None if code == 130 else code


def _be(module: object, arguments: Sequence[str]) -> None:
    from pipeline.cli.command import main

    code = 1
    os.dup2(2, 1)  # answers go there
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main(module.STAGE, module.run, [*arguments])  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        code = 130
    finally:
        os._exit(code)


if __name__ == "__main__":
    _serve()
