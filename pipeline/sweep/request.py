"""The request of a sweep: conf/sweep/NAME.yaml and the command line, checked before anything starts."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from pipeline.config.arguments import COMMAND_LINE, assignment, assignments
from pipeline.config.loader import Resolved, resolve
from pipeline.config.options import (
    ConfigError,
    all_options,
    at_home,
    check_limits,
    check_type,
    leaves,
    suggestion,
)
from pipeline.config.presets import CONF, presets_of, read_yaml, require_harmless
from pipeline.config.schema import GROUPS, Config
from pipeline.config.yaml_reading import PROJECT
from pipeline.sweep import space as spaces
from pipeline.sweep.settings import RayConfig, Settings, SweepConfig
from pipeline.sweep.space import Space, Values

OBJECTIVE = "distance/"
"""Prefix of metrics whose first one is the objective, where none is named."""
DEFAULT = "quick"
_OWN = ("experiment", "fixed", "space")


@dataclass(frozen=True, kw_only=True)
class Request(Resolved):
    """A sweep before it starts; the configuration is that of its trials without their own values.

    Attributes:
        settings: options of the sweep.
        space: search space.
        experiment: that every trial is; None is params.yaml.
        overrides: arguments of every trial, beside the experiment and its own values.
        params: file read in place of params.yaml.
        chosen: whether the command line names a sweep.
        typed: the command line's arguments, but for flags.
    """

    settings: Settings
    space: Space
    written: dict[str, Any]
    experiment: str | None
    overrides: list[str]
    params: Path | None
    chosen: bool
    typed: list[str]

    @property
    def subject(self) -> "Request":
        """The stage is run with all of it."""
        return self

    @property
    def name(self) -> str:
        """Name of the folder and of the parent run."""
        assert self.settings.sweep.name is not None, "read sets it"
        return self.settings.sweep.name

    @property
    def folder(self) -> Path:
        """Folder of everything that this sweep writes, absolute."""
        return (Path(self.settings.sweep.folder) / self.name).resolve()

    def compose(self, values: Values) -> Resolved:
        """The complete configuration of a point.

        Raises:
            ConfigError: the point is not possible; naming it.
        """
        own = [assignment(name, value) for name, value in values.items()]
        experiment = [] if self.experiment is None else [assignment("experiment", self.experiment)]
        try:
            return resolve([*experiment, *self.overrides, *own], params=self.params)
        except ConfigError as error:
            raise ConfigError(f"space: {in_words(values)}: {error}") from None

    @cached_property
    def points(self) -> list[Values] | None:
        """All points in order; None where Optuna chooses them."""
        sweep = self.settings.sweep
        if sweep.search == "grid":
            return spaces.grid(self.space)
        if sweep.search == "random":
            assert sweep.num_trials is not None, "check sees to it"
            return [spaces.drawn(self.space, sweep.seed, index) for index in range(sweep.num_trials)]
        return None

    @property
    def num_trials(self) -> int:
        """Number of trials of the whole search."""
        return len(self.points) if self.points is not None else self.settings.sweep.num_trials or 0

    def is_objective(self, metric: str) -> bool:
        """True where a metric of metrics.jsonl is the objective."""
        named = self.settings.sweep.objective
        return metric.startswith(OBJECTIVE) if named is None else metric == named


def read(arguments: Sequence[str], params: Path | None) -> Request:
    """The request that the command line makes.

    Raises:
        ConfigError: anything unknown, of the wrong type or contradictory.
    """
    own: dict[str, Any] = {}
    rest: list[str] = []
    for argument in arguments:
        if argument.partition("=")[0].partition(".")[0] in ("sweep", "ray"):
            own |= dict(assignments([argument], Settings))
        else:
            rest.append(argument)
    chosen = str(own.pop("sweep", DEFAULT))
    file, tree = _document(chosen)
    experiment, overrides = _trial_arguments(tree, rest, str(file))
    written = tree.pop("space", None) or {}
    if not isinstance(written, Mapping):
        raise ConfigError(f"{file}: space = {written!r}: it holds options and their values, as seed: [0, 1]")
    written = {str(name): entry for name, entry in written.items()}
    for key in [key for key in own if key.startswith("sweep.space.")]:
        written[key.removeprefix("sweep.space.")] = own.pop(key)
    settings = _settings(tree, own, str(file), name=file.stem)
    given = {*tree, *(name.removeprefix("sweep.") for name in own)}
    space = spaces.read_space(written, str(file))
    chosen_by_file = [] if experiment is None else [assignment("experiment", experiment)]
    base = resolve([*chosen_by_file, *overrides], params=params)
    for name, _ in assignments(rest):
        if name in space:
            raise ConfigError(f"{COMMAND_LINE}: {name} is searched: set its values, sweep.space.{name}=[...]")
    return Request(
        config=base.config, presets=base.presets, sources=base.sources,
        notes=[*base.notes, *_without_effect(settings.sweep, given)], environment=base.environment,
        settings=settings, space=space, written=written, experiment=experiment, overrides=overrides,
        params=params, chosen=any(argument.startswith("sweep=") for argument in arguments),
        typed=[*arguments],
    )  # fmt: skip


def _document(chosen: str) -> tuple[Path, dict[str, Any]]:
    """A file of conf/sweep by its name, or any by its path."""
    known = presets_of("sweep")
    file = CONF / "sweep" / f"{chosen}.yaml"
    if chosen.endswith((".yaml", ".yml")):
        file = Path(chosen)
    elif not file.is_file():
        raise ConfigError(
            f"{COMMAND_LINE}: sweep={chosen}: there is no conf/sweep/{chosen}.yaml, "
            f"but {', '.join(known)}{suggestion(chosen, known)}; or give the path of a file.yaml"
        )
    tree = read_yaml(file, section="sweep", schema=Settings)
    options = [option.name for option in fields(SweepConfig)]
    for key in tree:
        if key not in (*_OWN, "ray", *options):
            hint = suggestion(key, [*_OWN, "ray", *options])
            raise ConfigError(f"{_shown(file)}: {key}: a sweep has no such entry{hint}")
    return Path(_shown(file)), tree


def _shown(file: Path) -> str:
    return str(file.relative_to(PROJECT)) if file.is_relative_to(PROJECT) else str(file)


def _trial_arguments(tree: dict[str, Any], rest: Sequence[str], source: str) -> tuple[str | None, list[str]]:
    """The experiment, and what file and command line set for every trial."""
    experiment, fixed = tree.pop("experiment", None), tree.pop("fixed", None) or {}
    if not isinstance(fixed, Mapping):
        raise ConfigError(f"{source}: fixed holds options and their values, as train.steps: 400")
    require_harmless(dict(leaves(fixed)), f"{source}: fixed")
    overrides = []
    for name, value in leaves(fixed):
        if name not in GROUPS:
            check_type(name, value, f"{source}: fixed")
        overrides.append(assignment(name, value))
    for argument in rest:
        ((key, value),) = assignments([argument])
        if key == "experiment":
            experiment = value
        else:
            overrides.append(argument)
    return None if experiment is None else str(experiment), overrides


def _settings(tree: Mapping[str, Any], own: Mapping[str, Any], source: str, *, name: str) -> Settings:
    in_file = {(key if key == "ray" else f"sweep.{key}"): value for key, value in tree.items()}
    if not (PROJECT / source).is_relative_to(CONF):
        require_harmless(dict(leaves(in_file)), source, Settings)
    settings = OmegaConf.structured(Settings(sweep=SweepConfig(name=name), ray=RayConfig()))
    for origin, values in ((source, dict(leaves(in_file))), (COMMAND_LINE, own)):
        for option, value in values.items():
            check_type(option, value, origin, Settings)
            OmegaConf.update(settings, option, at_home(option, value, Settings))
            check_limits(option, OmegaConf.select(settings, option), origin, Settings)
    done = OmegaConf.to_object(settings)
    assert isinstance(done, Settings)
    if done.sweep.name is None:
        done.sweep.name = name
    return done


def _without_effect(sweep: SweepConfig, given: Collection[str]) -> list[str]:
    """A line for each option of the sweep that was given and changes nothing."""
    idle = {
        "grace_steps": (sweep.scheduler == "none", "sweep.scheduler is none"),
        "reduction": (sweep.scheduler != "asha", f"sweep.scheduler is {sweep.scheduler}, not asha"),
        "seed": (
            sweep.search == "grid" and sweep.scheduler != "pbt",
            "nothing is drawn at random by sweep.search=grid",
        ),
    }
    return [
        f"sweep.{name} has no effect: {why}"
        for name, (unused, why) in idle.items()
        if unused and name in given
    ]


def in_words(values: Values) -> str:
    """A point as text for messages."""
    return ", ".join(f"{name} = {value}" for name, value in values.items()) or "fixed settings"


def options_in_words(request: Request) -> list[str]:
    """Lines of --help on the options of a sweep."""
    lines = ["", f"sweep=NAME    {' '.join(presets_of('sweep'))}, or the path of a file.yaml"]
    options = all_options(Settings)
    width = max(map(len, options))
    for name, option in options.items():
        value: Any = request.settings
        for part in name.split("."):
            value = getattr(value, part)
        shown = "null" if value is None else str(value)
        lines.append(f"  {name:{width}}  {shown:<10} {option.metadata['meaning']} ({option.expected})")
    lines.append(
        f"  {'sweep.space.OPTION':{width}}  {'':<10} values in place of those of the file, as [6,12]"
    )
    return lines


def threads(config: Config, cpus: float) -> int:
    """CPU threads of each process of a trial."""
    return max(1, int(cpus) // config.train.launch.processes)
