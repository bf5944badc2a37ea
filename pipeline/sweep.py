"""`python -m pipeline.sweep`: many training runs, compared."""

import sys
from pathlib import Path

from pipeline.cli import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE, Flag, Stage, main
from pipeline.console import say, write
from pipeline.options import ConfigError
from pipeline.sweeping import cluster, driver, folder, machines, request, table, winner
from pipeline.sweeping.datasets import DataSets
from pipeline.sweeping.ledger import Ledger
from pipeline.sweeping.request import Request
from pipeline.sweeping.space import trial_name

STAGE = Stage(
    name="sweep",
    summary="""
Trains once for every point of a search space and tells which is best. A trial is the same training that dvc
repro runs, started the same way, in sweeps/<name>/trials/<trial>/. Every point is checked before anything
starts, and the data set is prepared once for all.

sweeps/<name>/ receives best.yaml, which has the form of params.yaml, table.txt, report.html and, for every
trial, trial.json and all that training writes. Interrupted or killed, --resume goes on: trials that are over
stay as they are, others go on from their last checkpoint. docs/sweeps.md tells how to use a cluster.""",
    groups=("data", "model", "sampler", "train", "tracking"),
    examples=(
        ("python -m pipeline.sweep sweep=quick", "three samplers, few points per ray: minutes on two cores"),
        ("python -m pipeline.sweep sweep=quick --list", "the trials that this would be"),
        ("python -m pipeline.sweep sweep=quick --resume", "go on after an interruption"),
        ("python -m pipeline.sweep sweep=quick --apply", "write the winner into params.yaml, for dvc repro"),
        ("python -m pipeline.sweep sweep=points experiment=heads64 sweep.gpus=0.5", "two trials a GPU"),
        ("python -m pipeline.sweep sweep=points 'sweep.space.sampler.points=[6,24]'", "other values"),
        ("python -m pipeline.sweep sweep=tune ray.address=auto", "on the cluster of this machine"),
    ),
    exit_codes=f"""\
  {EXIT_REQUEUE}   stopped by SIGTERM: --resume goes on
  {EXIT_INTERRUPTED}  stopped by Ctrl-C: --resume goes on""",
    resolve=request.read,
    own_help=lambda resolved: request.options_in_words(resolved.subject),
    usage="sweep=NAME ",
    flags=(
        Flag(name="resume", meaning="go on with a sweep that was interrupted"),
        Flag(name="apply", meaning="write the best trial's values into params.yaml, keeping a copy of it"),
        Flag(name="list", meaning="print the trials, and start nothing"),
    ),
)


def run(asked: Request, *, resume: bool = False, apply: bool = False, list: bool = False) -> int | None:
    """Run a sweep, or print or apply it.

    Raises:
        ConfigError: something about the request is wrong; nothing has been written.
        ValueError: the cluster, the data or the folder cannot be used.
    """
    if not asked.chosen:
        raise ConfigError(f"which one? sweep=NAME, for instance sweep={request.DEFAULT}; --help lists them")
    if apply and not resume and (asked.folder / winner.BEST).exists():
        return _apply(asked.folder)
    request.check(asked)
    sweep = asked.settings.sweep
    if list:
        return _list(asked)
    folder.require_right(asked, resume=resume)
    with cluster.connected(asked.settings.ray.address):
        gpus = sweep.gpus if sweep.gpus is not None else float(cluster.gpus_there() > 0)
        cluster.require_room(sweep.cpus, gpus)
        machines.require_server(asked.config.tracking)
        with folder.opened(asked, resume=resume):
            code = _search(asked, gpus)
    return _apply(asked.folder) if apply and code is None else code


def _search(asked: Request, gpus: float) -> int | None:
    """The trials, from what is there to the end."""
    sweep = asked.settings.sweep
    data = DataSets(Path(sweep.folder).resolve() / "data")
    machines.require_alike(asked.folder, [data.paths(asked.config)["train_data"]])
    ledger = Ledger(asked.folder, cpus=sweep.cpus, gpus=gpus)
    steps = asked.config.train.steps
    with (
        driver.stopping(asked.folder / driver.STOP) as stop,
        table.Live(asked.name, steps=steps, total=asked.num_trials) as live,
    ):
        driver.run(
            asked, ledger, stop, paths=data.paths, parent=None,
            changed=lambda: live.show([*ledger.trials.values()]),
        )  # fmt: skip
    return _conclude(asked, ledger, stop.exit_code)


def _conclude(asked: Request, ledger: Ledger, code: int | None) -> int | None:
    """Table, best.yaml, and the exit code."""
    trials = table.ranked(ledger.trials.values())
    text = table.as_text(trials, steps=asked.config.train.steps)
    (asked.folder / "table.txt").write_text(text)
    write(text)
    best = table.best(trials)
    if best is not None:
        objective = next((name for name in best.metrics if asked.is_objective(name)), "objective")
        file = winner.write_best(
            asked.folder, best, asked.compose(best.values), objective=objective, count=len(trials)
        )
        say(f"sweep: {best.name} is best, {objective} {best.objective:.4g}: {file}")
    if code is not None:
        over = len(trials) - len(ledger.unfinished)
        say(f"sweep: stopped after {over} of {asked.num_trials} trials; --resume goes on")
        return code
    return EXIT_ERROR if best is None else None


def _apply(sweep: Path) -> None:
    copy = winner.apply(sweep / winner.BEST)
    told = "is what params.yaml says already" if copy is None else f"is in params.yaml now, which was {copy}"
    say(f"sweep: {sweep / winner.BEST} {told}; dvc repro trains it")


def _list(asked: Request) -> None:
    """The trials that would run."""
    train = asked.config.train
    lines = [
        f"{asked.num_trials} trials of {train.steps} steps with {train.batch_size} pictures, in {asked.folder}"
    ]
    if asked.points is None:
        lines += ["Optuna chooses their values in"] + [
            f"  {name}: {entry}" for name, entry in asked.written.items()
        ]
    for index, values in enumerate(asked.points or []):
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        lines.append(f"  {trial_name(index, values):40}  {shown}")
    write("".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main(STAGE, run))
