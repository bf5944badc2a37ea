"""Command line of the stages: arguments, one-line errors, exit codes."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pipeline.cli.console import lost_result, say, write
from pipeline.cli.ending import stoppable
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_USAGE
from pipeline.cli.help import help_text, shown
from pipeline.cli.stage import FORCE, Flag, Stage
from pipeline.config.destinations import beside_own_runs
from pipeline.config.loader import resolve
from pipeline.config.options import ConfigError


def main(stage: Stage, run: Callable[..., int | None], arguments: Sequence[str] | None = None) -> int:
    """Run a stage for command-line arguments (default: the process's own) and return its exit code.

    User errors are one line on stderr, with `--traceback` a traceback; other exceptions are defects and keep
    theirs. A signal ends the stage in one line, with 128 + its number, unless the stage handles it. `run`
    gets the configuration, and the stage's flags that were given as keyword arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = stoppable(stage.name, lambda: _main(stage, run, given))
    if code == 0 and (problem := lost_result()):
        say(f"{stage.name}: the result cannot be written to stdout: {problem}")
        return EXIT_ERROR
    return code


def _main(stage: Stage, run: Callable[..., int | None], given: Sequence[str]) -> int:
    try:
        flags, overrides, files, values = _split(given, stage.all_flags)
        if stage.reads_model:
            overrides = [re.sub("^model=", "paths.model=", override) for override in overrides]
        if "--pinned" in files:
            resolved = resolve(overrides, params=files["--pinned"], own=True)
        else:
            resolved = stage.resolve(overrides, files.get("--params"))
        if stage.reads_model:
            resolved = beside_own_runs(resolved, stage.name)
        if "--help" in flags:
            write(help_text(stage, resolved))
            return 0
        if "--show" in flags:
            write(shown(resolved))
            return 0
        for note in resolved.notes:
            say(note)
        if stage.require_room is not None and not values.pop(FORCE.name, False):
            stage.require_room(resolved.subject)
        resolved.hand_over()
        return run(resolved.subject, **values) or 0
    except ConfigError as error:
        return _fail(stage, error, EXIT_USAGE, given)
    except (ValueError, OSError) as error:
        return _fail(stage, error, EXIT_ERROR, given)


def on_folder(name: str, about: str, work: Callable[[Path], None], arguments: Sequence[str]) -> int:
    """Run `work` of the command `name` on the folder that is its only argument, and return an exit code."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        say(f"usage: python -m pipeline.{name} FOLDER\n\n{about}")
        return EXIT_USAGE
    return explained(name, lambda: work(Path(arguments[0])))


def explained(name: str, work: Callable[[], int | None]) -> int:
    """Run `work` for a command without options, print user errors in one line, and return its exit code."""
    called = name.rpartition(".")[2]

    def run() -> int:
        try:
            return work() or 0
        except (ValueError, OSError) as error:
            say(one_line(f"{called}: {error}"))
            return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_ERROR

    return stoppable(called, run)


def _fail(stage: Stage, error: Exception, code: int, given: Sequence[str]) -> int:
    if "--traceback" in given:
        raise error
    say(one_line(f"{stage.name}: {error}"))
    return code


def one_line(message: str) -> str:
    """Join the lines of a message and escape its other control characters."""
    joined = " ".join(part.strip() for part in message.splitlines() if part.strip())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in joined)


def _split(
    given: Sequence[str], own: Sequence[Flag]
) -> tuple[set[str], list[str], dict[str, Path], dict[str, object]]:
    flags: set[str] = set()
    overrides: list[str] = []
    files: dict[str, Path] = {}
    values: dict[str, object] = {}
    known = {f"--{flag.name}": flag for flag in own}
    words = iter(given)
    for word in words:
        if word in ("-h", "--help"):
            flags.add("--help")
        elif word in ("--show", "--traceback"):
            flags.add(word)
        elif word in ("--params", "--pinned"):
            if not (file := next(words, "")):
                raise ConfigError(f"command line: {word}: a file name must follow it")
            files[word] = Path(file)
        elif word in known:
            values[known[word].name] = _flag_value(known[word], words)
        elif word.startswith("-"):
            raise ConfigError(f"command line: there is no flag {word}; options look like group.option=value")
        else:
            overrides.append(word)
    return flags, overrides, files, values


def _flag_value(flag: Flag, words: Iterator[str]) -> object:
    if not flag.value:
        return True
    word = next(words, "")
    if not word:
        takes = flag.expected or "one"
        raise ConfigError(f"command line: --{flag.name}: {flag.value} must follow it: it takes {takes}")
    try:
        return flag.read(word)
    except ValueError:
        problem = f"--{flag.name} {word}: it takes {flag.expected}"
        raise ConfigError(f"command line: {problem}") from None
