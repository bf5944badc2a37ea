"""`python -m pipeline.doctor`: checks of machine, data and configuration before training."""

import sys

from pipeline.cli.console import write
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config
from pipeline.doctor.findings import Checks, Problem, report

STAGE = Stage(
    name="doctor",
    summary="""
Checks everything that training with the same arguments would use, and changes nothing: versions, processors,
memory, an all-reduce across the launched processes, disks, the tracking server, the data set, and the step
from which training would start. WRONG marks problems that prevent training, each with a remedy.

train.launch.processes=2 checks two processes, and so does accelerate launch; the first writes the report.
Several machines are checked as for training, each started with its own train.launch.machine_rank.""",
    groups=("data", "model", "sampler", "train", "tracking"),
    examples=(
        ("python -m pipeline.doctor", "configuration of params.yaml"),
        ("python -m pipeline.doctor experiment=heads32 train.steps=4000", "checkpoint that it would resume"),
        ("python -m pipeline.doctor train.launch.processes=8", "eight GPUs and their links"),
    ),
)


def run(config: Config) -> int:
    """Print the report, in the first of several processes; return 1 if there are problems."""
    if (code := _launched(config)) is not None:
        return code
    try:
        checks = _checks(config)
    except ImportError as error:
        remedy = "source .venv/bin/activate, or pip install it"
        checks = {"Versions": iter([Problem(f"{error.name} is missing in {sys.executable}", remedy)])}
    found = report(checks, write)
    notes = f"; {found.cautions} to note" if found.cautions else ""
    if found.wrong:
        write(f"Something is wrong: {', '.join(found.wrong)}{notes}\n")
        return EXIT_ERROR
    write(f"Nothing is wrong{notes}\n" if checks else "")
    return 0


def _launched(config: Config) -> int | None:
    """Exit code of the processes of train.launch, if they can be started."""
    try:
        from pipeline.runtime.launch import start

        return start.run(config, stage="doctor")
    except (ImportError, ValueError):  # a check reports it
        return None


def _checks(config: Config) -> Checks:
    """Checks of this process; none unless it is the first, for which the others attend the rendezvous."""
    from pipeline.doctor import dataset, machine, processes, storage, training

    if processes.rank() > 0:
        processes.attend(config)
        return {}
    return {
        "Versions": machine.versions(),
        "Devices": machine.devices(config),
        "Processes": processes.processes(config),
        "Disks": storage.disks(config),
        "Tracking": storage.tracking(config),
        "Data set": dataset.description(config),
        "Cameras": dataset.poses(config),
        "Images": dataset.contents(config),
        "Training": training.training(config),
    }
