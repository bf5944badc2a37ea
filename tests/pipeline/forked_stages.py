"""Stages in forked children of one process, bounded in memory and time: hundreds of runs in little time.

As a program it reads jobs from stdin, a line of JSON each, and answers with exit codes.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, NamedTuple

from pipeline.cli.command import main
from pipeline.config.loader import Resolved, resolve

STAGES = ("prepare", "train", "evaluate", "export", "report", "pack")
MEMORY = 2 * 2**30
"""Bytes that a child may take beyond what its parent has."""
SECONDS = 10
"""Of a processor that a child may take."""
DEFECT = 70


class Ended(NamedTuple):
    """How a stage ended; `code` is negative for a signal, `said` all that it wrote."""

    code: int
    said: str


class Stages:
    """The program, from outside."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._to, self._from = process.stdin, process.stdout
        self._output = folder / "output.txt"

    def run(self, stage: str, arguments: Sequence[str], *, places: Mapping[str, str] | None = None) -> Ended:
        """A stage, as its command line would.

        With `places`, options by their dotted names, whose values are put in place of those that the
        arguments ask for, a configuration is composed once for all runs with these arguments.
        """
        job = {"stage": stage, "arguments": list(arguments), "places": dict(places or {})}
        job["output"] = str(self._output)
        self._to.write(json.dumps(job) + "\n")
        self._to.flush()
        return Ended(int(self._from.readline()), self._output.read_text())


@contextmanager
def forked_stages(folder: Path) -> Iterator[Stages]:
    """The program while it runs; `folder` takes what stages write to stdout and stderr."""
    command = [sys.executable, str(Path(__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Stages(process, folder)
        finally:
            process.stdin.close() if process.stdin else None


def _serve(jobs: IO[str], answers: IO[str]) -> None:
    import torch

    torch.set_num_threads(1)
    for name in STAGES:
        importlib.import_module(f"pipeline.{name}.stage")
    known: dict[tuple[str, ...], Resolved] = {}
    for line in jobs:
        job = json.loads(line)
        options = tuple(word for word in job["arguments"] if "=" in word)
        if job["places"] and options not in known:
            known[options] = resolve(options)
        if (child := os.fork()) == 0:
            os._exit(_child(job, known.get(options)))
        _, status = os.waitpid(child, 0)
        answers.write(f"{os.waitstatus_to_exitcode(status)}\n")
        answers.flush()


def _child(job: dict[str, Any], resolved: Resolved | None) -> int:
    with open(job["output"], "w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        module = importlib.import_module(f"pipeline.{job['stage']}.stage")
        stage = module.STAGE
        if resolved is not None and job["places"]:
            for name, value in job["places"].items():
                group, _, option = name.partition(".")
                setattr(getattr(resolved.config, group), option, value)
            stage = replace(stage, resolve=lambda given, params: resolved)
        return main(stage, module.run, job["arguments"])
    except BaseException:
        traceback.print_exc()
        return DEFECT
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    _serve(sys.stdin, answers)
