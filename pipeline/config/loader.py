"""Loader of every entry point: conf/ < params.yaml < command line.

- conf/<group>/<preset>.yaml: complete settings of a group.
- params.yaml: preset of each group (`preset:`), and values that override it. DVC tracks it.
- Command line: `group=preset` replaces a preset and drops the overrides of the old one, `group.option=value`
  sets a value, `experiment=NAME` reads conf/experiment/NAME.yaml, of the same form, in place of params.yaml.

Nothing else is read; relative paths are relative to the working directory. `${group.option}` as a whole value
refers to another option; there is no other interpolation. Options that say where this machine writes or
connects (`local` in the schema) are only taken from params.yaml, presets and the command line, as files given
with --params and experiments may be untrusted.

Hydra composes the presets, which are in its ConfigStore as `pipeline.config.yaml_reading` reads them: Hydra's
own reader would follow aliases, turn the text 007 into 7, and report errors without a remedy.
"""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from pipeline.config.arguments import COMMAND_LINE, assignments
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
from pipeline.config.presets import (
    main_file,
    preset_file,
    read_params,
    read_yaml,
    require_harmless,
    without_defaults,
)
from pipeline.config.redaction import redacted
from pipeline.config.schema import GROUPS, Config
from pipeline.config.yaml_reading import PROJECT, shown_path

SCHEMA = PROJECT / "pipeline/config/schema.py"

ConfigStore.instance().store(name="schema", node=Config)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """Configuration with its origin.

    Attributes:
        presets: preset of each group.
        sources: file that set each option.
        notes: messages for the user.
        environment: variables with the secrets of addresses, which `config` lacks.
    """

    config: Config
    presets: dict[str, str]
    sources: dict[str, str]
    notes: list[str]
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def subject(self) -> Any:
        """Argument of a stage's `run`."""
        return self.config

    def hand_over(self) -> None:
        """Set the secrets in the environment of this process and its children; before any work."""
        os.environ.update(self.environment)


@dataclass(frozen=True, kw_only=True)
class _Composed:
    """Presets composed by Hydra, with the value and the file of each option that they set."""

    tree: DictConfig
    values: dict[str, Any]
    sources: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class _CommandLine:
    presets: dict[str, str]
    values: dict[str, Any]
    experiment: str | None


def load(arguments: Sequence[str] = (), *, params: Path | None = None, own: bool = False) -> Config:
    """Load the configuration of command-line arguments, without secrets (see `Resolved`).

    Args:
        arguments: `group=preset`, `group.option=value` or `experiment=NAME`.
        params: file in place of the project's params.yaml.
        own: True if this program wrote `params`: its paths and tracking store are then accepted.

    Raises:
        ConfigError: an option is unknown, of the wrong type, out of range or contradictory.
    """
    return resolve(arguments, params=params, own=own).config


def resolve(arguments: Sequence[str] = (), *, params: Path | None = None, own: bool = False) -> Resolved:
    """Load a configuration as `load` does, with presets and sources."""
    command_line = _parse(arguments)
    file = params or PROJECT / "params.yaml"
    if command_line.experiment is not None:
        file = preset_file("experiment", command_line.experiment, COMMAND_LINE)
        own = False
    chosen, pinned = read_params(file)
    if not own and file.resolve() != (PROJECT / "params.yaml").resolve():
        require_harmless(pinned, shown_path(file))
    presets = {**chosen, **command_line.presets}
    replaced = {group for group, preset in presets.items() if chosen[group] != preset}

    origins = {g: COMMAND_LINE if g in command_line.presets else shown_path(file) for g in presets}
    files = [main_file(), *(preset_file(group, presets[group], origins[group]) for group in presets)]
    composed = _composed(tuple((preset, preset.stat().st_mtime_ns) for preset in files))
    kept = {name: value for name, value in pinned.items() if name.partition(".")[0] not in replaced}
    layers = [(shown_path(file), kept), (COMMAND_LINE, command_line.values)]
    for source, values in layers:
        for name, value in values.items():
            check_type(name, value, source)

    config, sources = _override(composed, presets, layers)
    environment = _without_secrets(config)
    notes = [
        f"{group}={presets[group]}: values of {shown_path(file)} for {group}={chosen[group]} do not apply"
        for group in sorted(replaced)
        if any(name.startswith(f"{group}.") for name in pinned)
    ]
    return Resolved(config=config, presets=presets, sources=sources, notes=notes, environment=environment)


def _without_secrets(config: Config) -> dict[str, str]:
    """Move user and password of tracking.uri, which is printed and stored, to the returned environment."""
    whole = config.tracking.uri
    if whole is None or redacted(whole) == whole:
        return {}
    config.tracking.uri = redacted(whole)
    return {"MLFLOW_TRACKING_URI": whole}


def as_dict(config: Config) -> dict[str, Any]:
    """Convert to nested plain dictionaries, ready for JSON."""
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


def _override(
    composed: _Composed, presets: Mapping[str, str], layers: Sequence[tuple[str, Mapping[str, Any]]]
) -> tuple[Config, dict[str, str]]:
    """Override composed presets by layers of values; return the configuration and its sources."""
    tree, values, sources = copy.deepcopy(composed.tree), dict(composed.values), dict(composed.sources)
    for source, own in layers:
        values |= own
        sources |= dict.fromkeys(own, source)
    overridden = {name for _, own in layers for name in own}
    for name, value in values.items():
        final = _final(name, values, sources)
        if name in overridden or final != value:
            OmegaConf.update(tree, name, final)
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
def _composed(files: tuple[tuple[Path, int], ...]) -> _Composed:
    """Read config.yaml and presets and compose them with Hydra; cached by (file, modification time)."""
    main, *presets = (file for file, _ in files)
    read = {"": read_yaml(main)}
    read |= {file.parent.name: read_yaml(file, section=file.parent.name) for file in presets}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for file, (group, tree) in zip((main, *presets), read.items(), strict=True):
        ConfigStore.instance().store(name=file.stem, node=tree, group=group or None)
        own = dict(leaves({group: tree} if group else without_defaults(tree)))
        for name, value in own.items():
            check_type(name, value, shown_path(file))
        values |= own
        sources |= dict.fromkeys(own, shown_path(file))
    with initialize(config_path=None, version_base="1.3"):
        chosen = [f"{file.parent.name}={file.stem}" for file in presets]
        return _Composed(tree=compose("config", overrides=chosen), values=values, sources=sources)


def _final(name: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> object:
    """Value of an option after references are followed and ~ is replaced."""
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
