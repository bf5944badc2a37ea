"""Text of --help and --show."""

from pipeline.cli import exit_codes
from pipeline.cli.stage import Stage
from pipeline.config.loader import Resolved
from pipeline.config.options import Option, all_options
from pipeline.config.presets import presets_of
from pipeline.config.schema import GROUPS, Config

FLAGS = {
    "--show": "print each option with its value and source",
    "--params FILE": "read FILE in place of params.yaml; paths in it are refused, it may be untrusted",
    "--pinned FILE": "read FILE, written by a launcher, in place of params.yaml, with its paths",
    "--traceback": "show the traceback of an error",
}


def help_text(stage: Stage, resolved: Resolved) -> str:
    """Text of --help: summary, options with their current values, flags, examples, exit codes."""
    arguments = "[model=FOLDER] " if stage.reads_model else stage.usage
    arguments += "[group=preset] [group.option=value] [experiment=NAME]"
    lines = [
        f"usage: python -m pipeline.{stage.name} {arguments}",
        "",
        stage.summary.strip(),
        "",
        "Values come from conf/<group>/<preset>.yaml, then params.yaml, then the command line.",
        "experiment=NAME reads conf/experiment/NAME.yaml in place of params.yaml. Experiments:",
        f"  {', '.join(presets_of('experiment'))}",
        *stage.own_help(resolved),
    ]
    options = all_options()
    for group in stage.groups:
        lines += ["", *_group_heading(group, resolved)]
        names = [name for name in options if name.partition(".")[0] == group]
        width = max(map(len, names))
        lines += [_option_line(options[name], resolved, width) for name in names]
    flags = {
        flag.usage: flag.meaning + (f" ({flag.expected})" if flag.expected else "")
        for flag in stage.all_flags
    } | FLAGS
    width = max(map(len, flags))
    lines += ["", "Flags", *(f"  {flag:{width}}  {meaning}" for flag, meaning in flags.items())]
    lines += ["", "Examples"]
    for command, effect in stage.examples:
        lines += [f"  {command}", f"      {effect}"]
    lines += ["", exit_codes.TABLE, *([stage.exit_codes] if stage.exit_codes else []), ""]
    return "\n".join(lines)


def shown(resolved: Resolved) -> str:
    """Text of --show: each option, its value and the file that set it."""
    names = list(all_options())
    values = {name: yaml_value(resolved.config, name) for name in names}
    left, middle = max(map(len, names)), max(map(len, values.values()))
    lines = [f"{name:{left}}  {values[name]:{middle}}  {resolved.sources.get(name, '')}" for name in names]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def yaml_value(config: Config, name: str) -> str:
    """Value of an option in YAML."""
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
