"""`python -m pipeline.doctor`: is everything in order, and what would happen if training started now?"""

import sys

from pipeline.cli.console import write
from pipeline.cli.exit_codes import EXIT_ERROR
from pipeline.cli.stage import Stage
from pipeline.config.schema import Config
from pipeline.doctor.findings import Checks, Problem, report

STAGE = Stage(
    name="doctor",
    summary="""
Looks at everything that training with the same arguments would use, changes nothing, and says what it finds:
versions, processors and memory, an all-reduce across the processes that it was launched with, disks, the
tracking server, the data set, and what would happen if training started now. WRONG is what keeps training
from working, with what to do about it; a note is worth knowing.

train.launch.processes=2 has two processes meet, and so does accelerate launch; the first writes the report.
Several machines meet as they would for training, each started with its own train.launch.machine_rank.""",
    groups=("data", "model", "sampler", "train", "tracking"),
    examples=(
        ("python -m pipeline.doctor", "what params.yaml says"),
        ("python -m pipeline.doctor experiment=heads32 train.steps=4000", "would it go on, and from where?"),
        ("python -m pipeline.doctor train.launch.processes=8", "eight GPUs and their links"),
    ),
)


def run(config: Config) -> int:
    """Print the report, or have the first of several processes do so; 1 where something is wrong."""
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
    """The exit code of the processes that train.launch asks for, where they can be started."""
    try:
        from pipeline.runtime.launch import start

        return start.run(config, stage="doctor")
    except (ImportError, ValueError):  # a check will tell
        return None


def _checks(config: Config) -> Checks:
    """What this process looks at: nothing, where it is not the first, beside being there for the first."""
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
        "Pictures": dataset.contents(config),
        "Training": training.training(config),
    }
