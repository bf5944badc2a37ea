"""The command line that all stages share: help, configuration shown, errors in plain words, exit codes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Resolved, presets_of, resolve
from pipeline.console import lost_result, say, write
from pipeline.options import ConfigError, Option, all_options
from pipeline.schema import GROUPS, Config
from pipeline.signals import stoppable

EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_REQUEUE = 85
"""Stopped by SIGTERM or SIGUSR1 with a checkpoint: run again to go on. HTCondor's convention."""
EXIT_HANGUP = 129
"""Stopped with a checkpoint as its terminal was closed: run again to go on."""
EXIT_INTERRUPTED = 130
"""Stopped by Ctrl-C with a checkpoint: run again to go on."""

EXIT_CODES = f"""Exit codes
  0    done
  {EXIT_ERROR}    something is wrong with the data, the model or the machine; the message says what
  {EXIT_USAGE}    something is wrong with the configuration; the message says where
  128+n  ended by signal n: 130 by Ctrl-C, 143 by SIGTERM, 129 as its terminal was closed"""


FLAGS = {
    "--show": "print the whole configuration and where each value comes from",
    "--params FILE": "read FILE in place of params.yaml",
    "--traceback": "show where an error was raised",
}


@dataclass(frozen=True, kw_only=True)
class Flag:
    """A flag of one stage that takes a value: `--memory GIB` reaches `run` as the argument `memory`.

    `read` makes the value of a word, and raises ValueError for one that it does not take. Without `value`,
    the flag takes none, and its argument is True.
    """

    name: str
    meaning: str
    value: str = ""
    expected: str = ""
    read: Callable[[str], object] = str

    @property
    def usage(self) -> str:
        """As it is typed."""
        return f"--{self.name} {self.value}".strip()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What a stage tells about itself.

    `groups` are the sections that it reads, `examples` pairs of a command and what it does. A stage that
    reads a trained model takes `model=FOLDER`; for others `model=` names a preset. A stage that takes more
    than a configuration has a `resolve` of its own, `usage` and `own_help`, lines of its help.
    """

    name: str
    summary: str
    groups: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    exit_codes: str = ""
    reads_model: bool = False
    flags: tuple[Flag, ...] = ()
    resolve: Callable[[Sequence[str], Path | None], Resolved] = lambda given, params: resolve(
        given, params=params
    )
    usage: str = ""
    own_help: Callable[[Resolved], list[str]] = lambda resolved: []


def main(stage: Stage, run: Callable[..., int | None], arguments: Sequence[str] | None = None) -> int:
    """Run a stage for command-line arguments (default: the process's own) and return its exit code.

    Errors in what the user gave are one line on stderr; `--traceback` shows where they were raised. Other
    exceptions are defects of this program and keep their traceback. A signal ends the stage in one line, with
    128 + its number, unless the stage hears it itself. `run` gets the configuration, and the
    stage's own flags that were given as keyword arguments.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = stoppable(stage.name, lambda: _main(stage, run, given))
    if code == 0 and (problem := lost_result()):
        say(f"{stage.name}: what it found cannot be written to stdout: {problem}")
        return EXIT_ERROR
    return code


def _main(stage: Stage, run: Callable[..., int | None], given: Sequence[str]) -> int:
    try:
        flags, overrides, params, values = _split(given, stage.flags)
        if stage.reads_model:
            overrides = [_model_folder(override) for override in overrides]
        resolved = stage.resolve(overrides, params)
        if "--help" in flags:
            write(help_text(stage, resolved))
            return 0
        if "--show" in flags:
            write(shown(resolved))
            return 0
        for note in resolved.notes:
            say(note)
        return run(resolved.subject, **values) or 0
    except ConfigError as error:
        return _fail(stage, error, EXIT_USAGE, given)
    except (ValueError, OSError) as error:
        return _fail(stage, error, EXIT_ERROR, given)


def on_folder(name: str, about: str, work: Callable[[Path], None], arguments: Sequence[str]) -> int:
    """Run a command whose one argument is a folder, and return its exit code.

    Args:
        name: of its module, below pipeline.
        about: what it does, for whoever asks.
        work: on the folder; errors in what the user gave are one line on stderr.
        arguments: of the command line.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        say(f"usage: python -m pipeline.{name} FOLDER\n\n{about}")
        return EXIT_USAGE
    called = name.rpartition(".")[2]

    def run() -> int:
        try:
            work(Path(arguments[0]))
        except (ValueError, OSError) as error:
            say(f"{called}: {error}")
            return EXIT_ERROR
        return 0

    return stoppable(called, run)


def _model_folder(override: str) -> str:
    name, _, value = override.partition("=")
    if name != "model":
        return override
    quoted = value.strip("'\"").replace("'", "\\'")
    return f"paths.model='{quoted}'"


def _fail(stage: Stage, error: Exception, code: int, given: Sequence[str]) -> int:
    if "--traceback" in given:
        raise error
    say(f"{stage.name}: {error}")
    return code


def _split(
    given: Sequence[str], own: Sequence[Flag]
) -> tuple[set[str], list[str], Path | None, dict[str, object]]:
    flags: set[str] = set()
    overrides: list[str] = []
    params = None
    values: dict[str, object] = {}
    known = {f"--{flag.name}": flag for flag in own}
    words = iter(given)
    for word in words:
        if word in ("-h", "--help"):
            flags.add("--help")
        elif word in ("--show", "--traceback"):
            flags.add(word)
        elif word == "--params":
            params = Path(next(words, ""))
        elif word in known:
            values[known[word].name] = _flag_value(known[word], words)
        elif word.startswith("-"):
            raise ConfigError(f"command line: there is no flag {word}; options look like group.option=value")
        else:
            overrides.append(word)
    return flags, overrides, params, values


def _flag_value(flag: Flag, words: Iterator[str]) -> object:
    if not flag.value:
        return True
    word = next(words, "")
    try:
        return flag.read(word)
    except ValueError:
        problem = f"--{flag.name} {word}: it takes {flag.expected}"
        raise ConfigError(f"command line: {problem}") from None


def help_text(stage: Stage, resolved: Resolved) -> str:
    """What the stage does, its options with the values they have now, and examples."""
    arguments = "[model=FOLDER] " if stage.reads_model else stage.usage
    arguments += "[group=preset] [group.option=value] [experiment=NAME]"
    lines = [
        f"usage: python -m pipeline.{stage.name} {arguments}",
        "",
        stage.summary.strip(),
        "",
        "Values come from conf/<group>/<preset>.yaml, then params.yaml, then the command line.",
        "experiment=NAME reads conf/experiment/NAME.yaml in place of params.yaml; there are:",
        f"  {', '.join(presets_of('experiment'))}",
        *stage.own_help(resolved),
    ]
    options = all_options()
    for group in stage.groups:
        lines += ["", *_group_heading(group, resolved)]
        names = [name for name in options if name.partition(".")[0] == group]
        width = max(map(len, names))
        lines += [_option_line(options[name], resolved, width) for name in names]
    own = {
        flag.usage: flag.meaning + (f" ({flag.expected})" if flag.expected else "") for flag in stage.flags
    }
    flags = own | FLAGS
    width = max(map(len, flags))
    lines += ["", "Flags", *(f"  {flag:{width}}  {meaning}" for flag, meaning in flags.items())]
    lines += ["", "Examples"]
    for command, effect in stage.examples:
        lines += [f"  {command}", f"      {effect}"]
    lines += ["", EXIT_CODES + ("\n" + stage.exit_codes if stage.exit_codes else ""), ""]
    return "\n".join(lines)


def shown(resolved: Resolved) -> str:
    """Every option, its value and the file that set it."""
    names = list(all_options())
    values = {name: yaml_value(resolved.config, name) for name in names}
    left, middle = max(map(len, names)), max(map(len, values.values()))
    lines = [f"{name:{left}}  {values[name]:{middle}}  {resolved.sources.get(name, '')}" for name in names]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def yaml_value(config: Config, name: str) -> str:
    """The value of an option as YAML would write it."""
    value: object = config
    for part in name.split("."):
        value = getattr(value, part)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _group_heading(group: str, resolved: Resolved) -> list[str]:
    if group not in GROUPS:
        return [group]
    others = [f"[{name}]" if name == resolved.presets[group] else name for name in presets_of(group)]
    return [f"{group}=PRESET    {' '.join(others)}"]


def _option_line(option: Option, resolved: Resolved, width: int) -> str:
    value = yaml_value(resolved.config, option.name)
    return f"  {option.name:{width}}  {value:<18} {option.metadata['meaning']} ({option.expected})"
