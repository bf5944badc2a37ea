"""The command line that all stages share: help, configuration shown, errors in plain words, exit codes."""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.cli.console import lost_result, say, write
from pipeline.cli.ending import stoppable
from pipeline.config.destinations import beside_own_runs
from pipeline.config.loader import Resolved, presets_of, resolve
from pipeline.config.options import ConfigError, Option, all_options
from pipeline.config.schema import GROUPS, Config

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
    "--params FILE": "read FILE in place of params.yaml; it may be somebody else's and sets no paths",
    "--pinned FILE": "the same for a file that this program wrote, paths included (launchers)",
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


FORCE = Flag(name="force", meaning="begin although memory, disk or time seem beyond this machine")


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
    require_room: Callable[[Config], None] | None = None
    """Refuses work that is estimated to be beyond this machine; --force passes it over.

    A stage that can estimate only later has FORCE among its flags, and the argument `force`.
    """
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
        flags, overrides, files, values = _split(given, _flags(stage))
        if stage.reads_model:
            overrides = [_model_folder(override) for override in overrides]
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
    return explained(name, lambda: work(Path(arguments[0])))


def explained(name: str, work: Callable[[], int | None]) -> int:
    """The exit code of a command without options; errors in what the user has are one line on stderr.

    Args:
        name: of its module, below pipeline.
        work: returns its exit code, or None.
    """
    called = name.rpartition(".")[2]

    def run() -> int:
        try:
            return work() or 0
        except (ValueError, OSError) as error:
            say(one_line(f"{called}: {error}"))
            return EXIT_USAGE if isinstance(error, ConfigError) else EXIT_ERROR

    return stoppable(called, run)


def _model_folder(override: str) -> str:
    name, equals, value = override.partition("=")
    return f"paths.model={value}" if name == "model" and equals else override


def _fail(stage: Stage, error: Exception, code: int, given: Sequence[str]) -> int:
    if "--traceback" in given:
        raise error
    say(one_line(f"{stage.name}: {error}"))
    return code


def one_line(message: str) -> str:
    """A message without ends of lines, and with other control characters written out."""
    joined = " ".join(part.strip() for part in message.splitlines() if part.strip())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in joined)


def _flags(stage: Stage) -> tuple[Flag, ...]:
    """Flags of the stage alone, --force among them where there is an estimate to pass over."""
    return stage.flags if stage.require_room is None else (*stage.flags, FORCE)


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
                raise ConfigError(f"command line: {word}: the name of a file is missing after it")
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
        raise ConfigError(f"command line: --{flag.name}: {flag.value} is missing after it: it takes {takes}")
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
        flag.usage: flag.meaning + (f" ({flag.expected})" if flag.expected else "") for flag in _flags(stage)
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
