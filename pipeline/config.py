"""One loader for every entry point: conf/ < params.yaml < command line.

- conf/<group>/<preset>.yaml: complete settings of a group.
- params.yaml: which preset of each group (`preset:`), and values pinned on top. It is what DVC tracks.
- The command line: `group=preset` chooses another preset (what is pinned for the one it replaces does not
  apply), `group.option=value` sets one value, and `experiment=NAME` reads conf/experiment/NAME.yaml, a file
  of the same form as params.yaml, in its place.

Nothing else is read and the working directory stays what it is; relative paths are relative to it.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from pipeline.consistency import check_together
from pipeline.options import ConfigError, all_options, check_limits, check_type, leaves, suggestion
from pipeline.redaction import redacted
from pipeline.schema import GROUPS, Config

PROJECT = Path(__file__).resolve().parents[1]
CONF = PROJECT / "conf"
SCHEMA = PROJECT / "pipeline/schema.py"
COMMAND_LINE = "command line"

ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A configuration and how it came about.

    `presets` maps group to preset, `sources` option to the file that set it, `notes` are for the user.
    """

    config: Config
    presets: dict[str, str]
    sources: dict[str, str]
    notes: list[str]

    @property
    def subject(self) -> Any:
        """What a stage is run with."""
        return self.config


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    presets: dict[str, str]
    values: dict[str, Any]
    experiment: str | None


def load(arguments: Sequence[str] = (), *, params: Path | None = None) -> Config:
    """The configuration that the command-line `arguments` ask for.

    Args:
        arguments: `group=preset`, `group.option=value` or `experiment=NAME`.
        params: read in place of the project's params.yaml.

    Raises:
        ConfigError: anything unknown, of the wrong type, out of range or contradictory.
    """
    return resolve(arguments, params=params).config


def resolve(arguments: Sequence[str] = (), *, params: Path | None = None) -> Resolved:
    """Like `load`, with presets and sources.

    Raises:
        ConfigError: see `load`.
    """
    command_line = _parse(arguments)
    file = params or PROJECT / "params.yaml"
    if command_line.experiment is not None:
        file = _preset_file("experiment", command_line.experiment, COMMAND_LINE)
    chosen, pinned = _read_params(file)
    presets = {**chosen, **command_line.presets}
    replaced = {group for group, preset in presets.items() if chosen[group] != preset}

    layers = [(_shown_path(CONF / "config.yaml"), dict(leaves(_main_values())))]
    for group, preset in presets.items():
        origin = COMMAND_LINE if group in command_line.presets else _shown_path(file)
        path = _preset_file(group, preset, origin)
        layers.append((_shown_path(path), dict(leaves({group: read_yaml(path)}))))
    kept = {name: value for name, value in pinned.items() if name.partition(".")[0] not in replaced}
    layers += [(_shown_path(file), kept), (COMMAND_LINE, command_line.values)]
    for source, values in layers:
        for name, value in values.items():
            check_type(name, value, source)

    config, sources = _merge(presets, layers)
    _hand_over_secrets(config)
    notes = [
        f"{group}={presets[group]}: what {_shown_path(file)} pins for {group}={chosen[group]} does not apply"
        for group in sorted(replaced)
        if any(name.startswith(f"{group}.") for name in pinned)
    ]
    return Resolved(config=config, presets=presets, sources=sources, notes=notes)


def _hand_over_secrets(config: Config) -> None:
    """Move user and password of tracking.uri to the environment: configurations are shown, stored, sent."""
    if config.tracking.uri is not None and redacted(config.tracking.uri) != config.tracking.uri:
        os.environ["MLFLOW_TRACKING_URI"] = config.tracking.uri
        config.tracking.uri = redacted(config.tracking.uri)


def presets_of(group: str) -> list[str]:
    """Names of the presets of a group (or of `experiment`)."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def as_dict(config: Config) -> dict[str, Any]:
    """Nested plain dictionaries, ready for JSON."""
    plain = OmegaConf.to_container(OmegaConf.structured(config))
    assert isinstance(plain, dict)
    return {str(k): v for k, v in plain.items()}


def assignments(arguments: Sequence[str]) -> list[tuple[str, Any]]:
    """(key, value) of arguments of the form key=value.

    Raises:
        ConfigError: one is not of that form.
    """
    return [(override.key_or_group, override.value()) for override in _parse_overrides(arguments)]


def assignment(key: str, value: object) -> str:
    """The argument of which `assignments` makes key and value again."""
    return f"{key}={_hydra_text(value)}"


def _hydra_text(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            # Backslashes count only where they stand before a quote.
            quoted = re.sub(r"(\\*)('|$)", lambda end: end[1] * 2 + ("\\'" if end[2] else ""), value)
            return f"'{quoted}'"
        case list() | tuple():
            return f"[{','.join(map(_hydra_text, value))}]"
        case _:
            return repr(value)


def _parse(arguments: Sequence[str]) -> _CommandLine:
    presets: dict[str, str] = {}
    values: dict[str, Any] = {}
    experiment = None
    for override in _parse_overrides(arguments):
        key, value = override.key_or_group, override.value()
        if key == "experiment":
            experiment = str(value)
        elif key in GROUPS:
            presets[key] = str(value)
        elif key.startswith("preset."):
            raise ConfigError(f"{COMMAND_LINE}: choose a preset as {key.removeprefix('preset.')}={value}")
        else:
            values[key] = value
    return _CommandLine(presets=presets, values=values, experiment=experiment)


def _parse_overrides(arguments: Sequence[str]) -> list[Override]:
    overrides = []
    for argument in arguments:
        try:
            (override,) = OverridesParser.create().parse_overrides([argument])
        except HydraException:
            forms = "group.option=value, group=preset or experiment=NAME"
            raise ConfigError(f"{COMMAND_LINE}: {argument!r} is not of the form {forms}") from None
        if override.is_add() or override.is_force_add() or override.is_delete():
            problem = f"options can be set, not added or removed: write it without {argument[0]}"
            raise ConfigError(f"{COMMAND_LINE}: {argument!r}: {problem}")
        if override.is_sweep_override():
            raise ConfigError(f"{COMMAND_LINE}: {argument!r} gives several values; one run takes one")
        overrides.append(override)
    return overrides


def _read_params(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Presets and pinned values of params.yaml or of an experiment."""
    source = _shown_path(file)
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
    pinned = {name: value for name, value in leaves(tree) if not (name in GROUPS and value is None)}
    return {group: str(chosen[group]) for group in GROUPS}, pinned


def _preset_file(group: str, preset: str, source: str) -> Path:
    path = CONF / group / f"{preset}.yaml"
    if not path.is_file():
        known = presets_of(group)
        raise ConfigError(
            f"{source}: {group}={preset}: there is no conf/{group}/{preset}.yaml, "
            f"but {_list(known)}{suggestion(preset, known)}"
        )
    return path


def _main_values() -> dict[str, Any]:
    values = read_yaml(CONF / "config.yaml")
    values.pop("defaults")
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: there is no such file, or it holds something else.
    """
    try:
        tree = OmegaConf.to_container(OmegaConf.load(path))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except Exception as error:  # the parsers' own classes have nothing else in common
        raise ConfigError(f"{_shown_path(path)} is no valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{_shown_path(path)}: a mapping of options to values is needed")
    return {str(k): v for k, v in tree.items()}


def _merge(
    presets: Mapping[str, str], layers: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[Config, dict[str, str]]:
    """The typed configuration, and which layer set each option last."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        tree = compose("config", overrides=[f"{group}={preset}" for group, preset in presets.items()])
    sources: dict[str, str] = {}
    for source, values in layers:
        for name, value in values.items():
            OmegaConf.update(tree, name, value)
            sources[name] = source
    for name in all_options():
        group = name.partition(".")[0]
        missing = OmegaConf.is_missing(tree, name)
        if missing:
            source = f"conf/{group}/{presets[group]}.yaml" if group in presets else "params.yaml"
        else:
            source = sources.setdefault(name, _shown_path(SCHEMA))
        check_limits(name, MISSING if missing else _selected(tree, name, source), source)
    config = OmegaConf.to_object(tree)
    assert isinstance(config, Config)
    check_together(config, sources)
    return config, sources


def _selected(tree: DictConfig, name: str, source: str) -> object:
    try:
        return OmegaConf.select(tree, name)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{source}: {name}: {' '.join(str(error).split())}") from None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def _shown_path(path: Path) -> str:
    return str(path.relative_to(PROJECT)) if path.is_relative_to(PROJECT) else str(path)
