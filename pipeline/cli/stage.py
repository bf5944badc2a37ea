"""Description of a stage for its command line: sections, flags, examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.loader import Resolved, resolve
from pipeline.config.schema import Config


@dataclass(frozen=True, kw_only=True)
class Flag:
    """Flag of one stage: `--memory GIB` reaches `run` as the argument `memory`.

    Attributes:
        value: placeholder of the value; a flag without one passes True.
        expected: valid values, in words.
        read: parser of the value, which raises ValueError for an invalid one.
    """

    name: str
    meaning: str
    value: str = ""
    expected: str = ""
    read: Callable[[str], object] = str

    @property
    def usage(self) -> str:
        """Form in which it is typed."""
        return f"--{self.name} {self.value}".strip()


FORCE = Flag(name="force", meaning="start despite the estimate that memory, disk or time do not suffice")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Description of a stage.

    Attributes:
        groups: sections of the configuration that it reads.
        examples: pairs of a command and its effect.
        reads_model: `model=FOLDER` names a trained model; for other stages `model=` names a preset.
        require_room: check that refuses work beyond this machine; --force skips it. A stage that estimates
            later has FORCE among its flags instead, and the argument `force`.
        resolve: parser of the arguments.
        usage: arguments beyond a configuration.
        own_help: further lines of --help.
    """

    name: str
    summary: str
    groups: tuple[str, ...]
    examples: tuple[tuple[str, str], ...]
    exit_codes: str = ""
    reads_model: bool = False
    flags: tuple[Flag, ...] = ()
    require_room: Callable[[Config], None] | None = None
    resolve: Callable[[Sequence[str], Path | None], Resolved] = lambda given, params: resolve(
        given, params=params
    )
    usage: str = ""
    own_help: Callable[[Resolved], list[str]] = lambda resolved: []

    @property
    def all_flags(self) -> tuple[Flag, ...]:
        """Flags of this stage, with --force if there is an estimate to skip."""
        return self.flags if self.require_room is None else (*self.flags, FORCE)
