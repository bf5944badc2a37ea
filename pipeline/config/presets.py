"""Files of values: presets in conf/, params.yaml and experiments."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.options import REFERENCE, ConfigError, all_options, leaves, shown, suggestion
from pipeline.config.schema import GROUPS, Config
from pipeline.config.yaml_reading import PROJECT, read_mapping, shown_path

CONF = PROJECT / "conf"
MODELS = ("runs", "models")
"""Folders of the project in which an untrusted file may name a model."""


def main_file() -> Path:
    """File that names the sections outside of the groups: config.yaml."""
    return CONF / "config.yaml"


def presets_of(group: str) -> list[str]:
    """Names of the presets of a group, or of experiments."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def read_params(file: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Read presets and overrides of params.yaml or an experiment."""
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
            raise ConfigError(f"{source}: {name} is given twice: remove one of them")
        if not (name in GROUPS and value is None):
            pinned[name] = value
    return {group: str(chosen[group]) for group in GROUPS}, pinned


def preset_file(group: str, preset: str, source: str) -> Path:
    known = presets_of(group)
    if preset not in known:
        raise ConfigError(
            f"{source}: {group}={preset}: there is no conf/{group}/{preset}.yaml, "
            f"but {_list(known)}{suggestion(preset, known)}"
        )
    return CONF / group / f"{preset}.yaml"


def without_defaults(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Options of config.yaml, without Hydra's list of defaults."""
    return {name: value for name, value in tree.items() if name != "defaults"}


def read_yaml(path: Path, *, section: str = "", schema: type = Config) -> dict[str, Any]:
    """Read a YAML file of options, in a dotted `section` if it has none; text options are kept as typed."""
    options = all_options() | all_options(schema)
    texts = [name for name, option in options.items() if str in option.types]

    def is_text(name: str) -> bool:
        names = (name, f"{section}.{name}", name.partition(".")[2])  # the last is one below fixed or space
        return any(one == text or one.startswith(f"{text}.") for one in names for text in texts)

    return read_mapping(path, is_text=is_text)


def require_harmless(values: Mapping[str, Any], source: str, schema: type = Config) -> None:
    """Refuse values of an untrusted file that say where this machine writes or connects, unless usual."""
    usual, options = dict(leaves(without_defaults(read_yaml(main_file())))), all_options(schema)
    private = {name for name, option in options.items() if option.metadata["local"]}
    for name, value in values.items():
        refers = REFERENCE.fullmatch(str(value))
        if name not in private and (refers is None or refers[1] not in private):
            continue
        expected = usual.get(name, options[name].default) if name in options else None
        if value == expected or (name == "paths.model" and _is_own_model(value)):
            continue
        raise ConfigError(
            f"{source}: {name} = {shown(value)}: only the project's params.yaml sets where this machine "
            f"writes and connects: remove it, or give it on the command line, {name}=..."
        )


def _is_own_model(value: object) -> bool:
    path = Path(str(value))
    return (
        not path.is_absolute() and path.parts[:1] in [(name,) for name in MODELS] and ".." not in path.parts
    )


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
