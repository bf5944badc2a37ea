"""One loader for every entry point: conf/ < params.yaml < command line.

- conf/<group>/<preset>.yaml: complete settings of a group.
- params.yaml: which preset of each group (`preset:`), and values pinned on top. It is what DVC tracks.
- The command line: `group=preset` chooses another preset (what is pinned for the one it replaces does not
  apply), `group.option=value` sets one value, and `experiment=NAME` reads conf/experiment/NAME.yaml, a file
  of the same form as params.yaml, in its place.

Nothing else is read and the working directory stays what it is; relative paths are relative to it.
`${group.option}` as a whole value is the value of another option; nothing else is ever filled in. What says
where this machine writes, or whom it connects to (`local` in the schema), is taken from params.yaml, presets
and the command line alone: a file given with --params and an experiment may come from somebody else.

Presets are read by `pipeline.config.yaml_reading` and composed by Hydra, which reads them again. Its defaults
tree would tell the file of a value, one a group, but its reader follows aliases and makes 7 of the text 007,
and its errors name no remedy: what is checked and merged here is what the first reading found.
"""

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from pipeline.config.arguments import COMMAND_LINE, assignment, assignments
from pipeline.config.checks import check_together
from pipeline.config.options import (
    REFERENCE,
    ConfigError,
    all_options,
    at_home,
    check_limits,
    check_type,
    leaves,
    shown,
    suggestion,
)
from pipeline.config.redaction import redacted
from pipeline.config.schema import GROUPS, Config
from pipeline.config.yaml_reading import PROJECT, read_mapping, shown_path

__all__ = (
    "COMMAND_LINE",
    "CONF",
    "PROJECT",
    "Resolved",
    "as_dict",
    "assignment",
    "assignments",
    "load",
    "presets_of",
    "read_yaml",
    "resolve",
)

CONF = PROJECT / "conf"
SCHEMA = PROJECT / "pipeline/config/schema.py"
MODELS = ("runs", "models")
"""Folders of the project in which a file of somebody else may name a model."""

ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration and how it came about.

    `presets` maps group to preset, `sources` option to the file that set it, `notes` are for the user,
    `environment` are variables with the secrets of its addresses, which the configuration itself lacks.
    """

    config: Config
    presets: dict[str, str]
    sources: dict[str, str]
    notes: list[str]
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def subject(self) -> Any:
        """What a stage is run with."""
        return self.config

    def hand_over(self) -> None:
        """Have this process, and those that it starts, know the secrets; before any work."""
        os.environ.update(self.environment)


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    presets: dict[str, str]
    values: dict[str, Any]
    experiment: str | None


def load(arguments: Sequence[str] = (), *, params: Path | None = None, own: bool = False) -> Config:
    """The configuration that the command-line `arguments` ask for, without secrets: see `Resolved`.

    Args:
        arguments: `group=preset`, `group.option=value` or `experiment=NAME`.
        params: read in place of the project's params.yaml.
        own: whether this program wrote `params`, so that its paths and its tracking store are taken.

    Raises:
        ConfigError: anything unknown, of the wrong type, out of range or contradictory.
    """
    return resolve(arguments, params=params, own=own).config


def resolve(arguments: Sequence[str] = (), *, params: Path | None = None, own: bool = False) -> Resolved:
    """Like `load`, with presets and sources.

    Raises:
        ConfigError: see `load`.
    """
    command_line = _parse(arguments)
    file = params or PROJECT / "params.yaml"
    if command_line.experiment is not None:
        file = _preset_file("experiment", command_line.experiment, COMMAND_LINE)
        own = False
    chosen, pinned = _read_params(file)
    if not own and file.resolve() != (PROJECT / "params.yaml").resolve():
        require_harmless(pinned, shown_path(file))
    presets = {**chosen, **command_line.presets}
    replaced = {group for group, preset in presets.items() if chosen[group] != preset}

    layers = [(shown_path(CONF / "config.yaml"), dict(leaves(_main_values())))]
    for group, preset in presets.items():
        origin = COMMAND_LINE if group in command_line.presets else shown_path(file)
        path = _preset_file(group, preset, origin)
        layers.append((shown_path(path), dict(leaves({group: read_yaml(path, section=group)}))))
    kept = {name: value for name, value in pinned.items() if name.partition(".")[0] not in replaced}
    layers += [(shown_path(file), kept), (COMMAND_LINE, command_line.values)]
    for source, values in layers:
        for name, value in values.items():
            check_type(name, value, source)

    config, sources = _merge(presets, layers)
    environment = _without_secrets(config)
    notes = [
        f"{group}={presets[group]}: what {shown_path(file)} pins for {group}={chosen[group]} does not apply"
        for group in sorted(replaced)
        if any(name.startswith(f"{group}.") for name in pinned)
    ]
    return Resolved(config=config, presets=presets, sources=sources, notes=notes, environment=environment)


def _without_secrets(config: Config) -> dict[str, str]:
    """Take user and password out of tracking.uri, as configurations are shown, stored and sent.

    Returns:
        The environment variable that has them.
    """
    whole = config.tracking.uri
    if whole is None or redacted(whole) == whole:
        return {}
    config.tracking.uri = redacted(whole)
    return {"MLFLOW_TRACKING_URI": whole}


def presets_of(group: str) -> list[str]:
    """Names of the presets of a group (or of `experiment`)."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def as_dict(config: Config) -> dict[str, Any]:
    """Nested plain dictionaries, ready for JSON."""
    plain = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def _parse(arguments: Sequence[str]) -> _CommandLine:
    presets: dict[str, str] = {}
    values: dict[str, Any] = {}
    experiment = None
    for key, value in assignments(arguments):
        if key == "experiment":
            experiment = str(value)
        elif key in GROUPS:
            presets[key] = str(value)
        elif key.startswith("preset."):
            chosen = f"{key.removeprefix('preset.')}={value}"
            raise ConfigError(f"{COMMAND_LINE}: {key}: choose a preset as {chosen}")
        else:
            values[key] = value
    return _CommandLine(presets=presets, values=values, experiment=experiment)


def _read_params(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Presets and pinned values of params.yaml or of an experiment."""
    source = shown_path(file)
    tree = read_yaml(file)
    chosen = tree.pop("preset", None)
    if not isinstance(chosen, Mapping):
        raise ConfigError(f"{source}: the section preset: is missing; it names one for {_list(GROUPS)}")
    for group in chosen:
        if group not in GROUPS:
            hint = suggestion(str(group), GROUPS)
            raise ConfigError(f"{source}: preset.{group}: there is no such group{hint}")
    if missing := [group for group in GROUPS if group not in chosen]:
        known = _list(presets_of(missing[0]))
        raise ConfigError(f"{source}: preset.{missing[0]} is missing; there are {known}")
    pinned: dict[str, Any] = {}
    for name, value in leaves(tree):
        if name in pinned:
            raise ConfigError(f"{source}: {name} stands there twice: leave one of them")
        if not (name in GROUPS and value is None):
            pinned[name] = value
    return {group: str(chosen[group]) for group in GROUPS}, pinned


def _preset_file(group: str, preset: str, source: str) -> Path:
    known = presets_of(group)
    if preset not in known:
        raise ConfigError(
            f"{source}: {group}={preset}: there is no conf/{group}/{preset}.yaml, "
            f"but {_list(known)}{suggestion(preset, known)}"
        )
    return CONF / group / f"{preset}.yaml"


def _main_values() -> dict[str, Any]:
    values = read_yaml(CONF / "config.yaml")
    values.pop("defaults")
    return values


def read_yaml(path: Path, *, section: str = "", schema: type = Config) -> dict[str, Any]:
    """The mapping that a YAML file holds; values of options that are texts stay as they are typed.

    Args:
        path: of the file.
        section: dotted name of the options' section, if the file does not say it.
        schema: of options beside those of a run.

    Raises:
        ConfigError: see `pipeline.config.yaml_reading.read_mapping`.
    """
    options = all_options() | all_options(schema)
    texts = [name for name, option in options.items() if str in option.types]

    def is_text(name: str) -> bool:
        names = (name, f"{section}.{name}", name.partition(".")[2])  # the last is one below fixed or space
        return any(one == text or one.startswith(f"{text}.") for one in names for text in texts)

    return read_mapping(path, is_text=is_text)


def require_harmless(values: Mapping[str, Any], source: str, schema: type = Config) -> None:
    """Refuse values of a file that may be somebody else's and say where this machine writes or connects.

    What the project itself has (conf/config.yaml) may stand there, and a model of the project.

    Raises:
        ConfigError: naming file and option.
    """
    usual, options = dict(leaves(_main_values())), all_options(schema)
    private = {name for name, option in options.items() if option.metadata["local"]}
    for name, value in values.items():
        refers = REFERENCE.fullmatch(str(value))
        if name not in private and (refers is None or refers[1] not in private):
            continue
        expected = usual.get(name, options[name].default) if name in options else None
        if value == expected or (name == "paths.model" and _is_own_model(value)):
            continue
        raise ConfigError(
            f"{source}: {name} = {shown(value)}: only params.yaml of the project says where this machine "
            f"writes and whom it connects to: take it out, or give it on the command line, {name}=..."
        )


def _is_own_model(value: object) -> bool:
    path = Path(str(value))
    return (
        not path.is_absolute() and path.parts[:1] in [(name,) for name in MODELS] and ".." not in path.parts
    )


def _merge(
    presets: Mapping[str, str], layers: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[Config, dict[str, str]]:
    """The typed configuration, and which layer set each option last."""
    files = [CONF / "config.yaml", *(CONF / group / f"{preset}.yaml" for group, preset in presets.items())]
    tree = copy.deepcopy(_composed(tuple((file, file.stat().st_mtime_ns) for file in files)))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for source, own in layers:
        values |= own
        sources |= dict.fromkeys(own, source)
    for name in values:
        OmegaConf.update(tree, name, _final(name, values, sources))
    for name in all_options():
        group = name.partition(".")[0]
        missing = OmegaConf.is_missing(tree, name)
        if missing:
            source = f"conf/{group}/{presets[group]}.yaml" if group in presets else "params.yaml"
        else:
            source = sources.setdefault(name, shown_path(SCHEMA))
        value = MISSING if missing else OmegaConf.select(tree, name)
        check_limits(name, OmegaConf.to_container(value) if OmegaConf.is_list(value) else value, source)
    config = OmegaConf.to_object(tree)
    assert isinstance(config, Config)
    check_together(config, sources)
    return config, sources


@lru_cache(maxsize=64)
def _composed(files: tuple[tuple[Path, int], ...]) -> DictConfig:
    """config.yaml with presets as Hydra composes them; `files` and the times of their last change."""
    (main, _), *presets = files
    with initialize_config_dir(str(main.parent), version_base="1.3"):
        return compose("config", overrides=[f"{file.parent.name}={file.stem}" for file, _ in presets])


def _final(name: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> object:
    """The value of an option, references to others followed and ~ replaced."""
    followed, value = [name], values[name]
    while isinstance(value, str) and (found := REFERENCE.fullmatch(value)):
        target = found[1]
        if target not in all_options():
            problem = f"there is no option {target}{suggestion(target, all_options())}"
            raise ConfigError(f"{sources[name]}: {name} = {shown(values[name])}: {problem}")
        if target in followed:
            raise ConfigError(f"{sources[name]}: {name} = {shown(values[name])} refers to itself")
        followed.append(target)
        value = values.get(target, all_options()[target].default)
    if len(followed) > 1:
        option = all_options()[name]
        value = str(value) if option.is_text and value is not None else value
        check_type(name, value, sources[name])
    return at_home(name, value)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
