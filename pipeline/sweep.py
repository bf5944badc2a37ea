"""`python -m pipeline.sweep`: many training runs, compared."""

import sys
from pathlib import Path

from pipeline.cli import Flag, Stage, main
from pipeline.console import say
from pipeline.options import ConfigError
from pipeline.sweeping import cluster, driver, request
from pipeline.sweeping.ledger import Ledger
from pipeline.sweeping.request import Request
from pipeline.sweeping.trainable import STOP

STAGE = Stage(
    name="sweep",
    summary="""
Trains once for every point of a search space and tells which is best.""",
    groups=("data", "model", "sampler", "train", "tracking"),
    examples=(("python -m pipeline.sweep sweep=quick", "three samplers on two cores, in minutes"),),
    resolve=request.read,
    own_help=lambda resolved: request.options_in_words(resolved.subject),
    usage="sweep=NAME ",
    flags=(
        Flag(name="resume", meaning="go on with a sweep that was interrupted"),
        Flag(name="apply", meaning="write the best values into params.yaml"),
        Flag(name="list", meaning="print the trials and stop"),
    ),
)


def run(asked: Request, *, resume: bool = False, apply: bool = False, list: bool = False) -> int | None:
    """Run a sweep."""
    if not asked.chosen:
        raise ConfigError("which one? sweep=NAME")
    request.check(asked)
    sweep = asked.settings.sweep
    with cluster.connected(asked.settings.ray.address):
        there = cluster.gpus_there()
        gpus = sweep.gpus if sweep.gpus is not None else float(there > 0)
        cluster.require_room(sweep.cpus, gpus)
        asked.folder.mkdir(parents=True, exist_ok=True)
        ledger = Ledger(asked.folder, cpus=sweep.cpus, gpus=gpus)
        with driver.stopping(asked.folder / STOP) as stop:
            driver.run(
                asked, ledger, stop, parent=None, changed=lambda: None,
                paths=lambda config: {
                    "train_data": str(Path(config.paths.train_data).resolve()),
                    "test_data": str(Path(config.paths.test_data).resolve()),
                },
            )
    for trial in ledger.trials.values():
        say(f"{trial.name} {trial.status} {trial.objective} {trial.seconds:.1f} {trial.reason}")
    return None


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
