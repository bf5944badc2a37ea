"""`python -m pipeline.sweep`: many training runs, compared."""

from pathlib import Path

from pipeline.cli.console import say, write
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.stage import FORCE, Flag, Stage
from pipeline.config.options import ConfigError
from pipeline.config.schema import Config
from pipeline.prepare import stage as prepare
from pipeline.runtime import estimates
from pipeline.sweep import asked as asking
from pipeline.sweep import checks, folder, request, winner
from pipeline.sweep.ledger import Ledger
from pipeline.sweep.report import page, table
from pipeline.sweep.report import record as recording
from pipeline.sweep.request import Request
from pipeline.sweep.space import trial_name
from pipeline.sweep.trials import Trial
from pipeline.sweep.tune import datasets, driver
from pipeline.sweep.tune.cluster import connection, machines

STAGE = Stage(
    name="sweep",
    summary="""
Trains once for every point of a search space and tells which is best. A trial is the same training that dvc
repro runs, started the same way, in sweeps/<name>/trials/<trial>/. Every point is checked before anything
starts, and each data set that trials ask for is prepared once.

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
        FORCE,
    ),
)


def run(
    asked: Request, *, resume: bool = False, apply: bool = False, list: bool = False, force: bool = False
) -> int | None:
    """Run a sweep, or print or apply it.

    Raises:
        ConfigError: something about the request is wrong; nothing has been written.
        ValueError: the cluster, the data or the folder cannot be used.
    """
    if not asked.chosen:
        raise ConfigError(f"which one? sweep=NAME, for instance sweep={request.DEFAULT}; --help lists them")
    if apply and not resume and (asked.folder / winner.BEST).exists():
        return _apply(asked.folder)
    sweep = asked.settings.sweep
    if not list:
        connection.require_there(asked.settings.ray.address)
    checks.check(asked, room=not list and not force)
    if list:
        return _list(asked)
    folder.require_right(asked, resume=resume)
    with connection.connected(asked.settings.ray.address):
        gpus = sweep.gpus if sweep.gpus is not None else float(connection.gpus_there() > 0)
        connection.require_room(sweep.cpus, gpus)
        machines.require_server(asked.config.tracking)
        with folder.opened(asked, resume=resume):
            code = _search(asked, gpus, force=force)
    return _apply(asked.folder) if apply and code is None else code


def _search(asked: Request, gpus: float, *, force: bool) -> int | None:
    """The trials, from what is there to the end, and what is made of them."""
    sweep, steps = asked.settings.sweep, asked.config.train.steps
    data = datasets.of_request(asked, prepare.run if force else _prepare)
    machines.require_alike(asked.folder, data.folders)
    ledger = Ledger(asked.folder, cpus=sweep.cpus, gpus=gpus)
    with driver.stopping(asked.folder / driver.STOP) as stop:
        record = recording.Parent.start(
            asked.config.tracking, asked.name, asking.read(asked.folder), asked.folder
        )
        try:
            with table.Live(asked.name, steps=steps, total=asked.num_trials) as live:

                def show() -> None:
                    trials = [*ledger.trials.values()]
                    live.show(trials)
                    record.update(trials)

                driver.run(asked, ledger, stop, data=data, parent=record.run_id, changed=show, force=force)
            best = _conclude(asked, ledger)
        except BaseException as error:
            record.finish(asked.folder, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
    if stop.exit_code is not None:
        over = len(ledger.trials) - len(ledger.unfinished)
        say(f"sweep: stopped after {over} of {asked.num_trials} trials; --resume goes on")
    record.finish(asked.folder, "KILLED" if stop.exit_code else "FINISHED" if best else "FAILED")
    return stop.exit_code or (None if best else EXIT_ERROR)


def _prepare(config: Config) -> None:
    """One of the data sets that trials ask for, if there is room."""
    estimates.require_room("prepare", config)
    prepare.run(config)


def _conclude(asked: Request, ledger: Ledger) -> Trial | None:
    """Table, best.yaml and report of the trials that there are; returns the best one."""
    trials = table.ranked(ledger.trials.values())
    text = table.as_text(trials, steps=asked.config.train.steps)
    (asked.folder / "table.txt").write_text(text, encoding="utf-8")
    write(text)
    best = table.best(trials)
    if best is not None:
        objective = next((name for name in best.metrics if asked.is_objective(name)), "objective")
        resolved = asked.compose(best.values)
        file = winner.write_best(asked.folder, best, resolved, objective=objective, count=len(trials))
        say(f"sweep: {best.name} is best, {objective} {best.objective:.4g}: {file}")
    say(f"sweep: the answer in words and pictures: {page.write(asked.folder)}")
    return best


def _apply(sweep: Path) -> None:
    copy = winner.apply(sweep / winner.BEST)
    told = "is what params.yaml says already" if copy is None else f"is in params.yaml now, which was {copy}"
    say(f"sweep: {sweep / winner.BEST} {told}; dvc repro trains it")


def _list(asked: Request) -> None:
    """The trials that would run."""
    train = asked.config.train
    length = f"{train.steps} steps with {train.batch_size} pictures"
    lines = [f"{asked.num_trials} trials of {length}, in {asked.folder}"]
    if (sets := len(datasets.configurations(asked))) > 1:
        lines.append(f"{sets} data sets are prepared for them")
    if asked.points is None:
        lines.append("Optuna chooses their values in")
        lines += [f"  {name}: {entry}" for name, entry in asked.written.items()]
    for index, values in enumerate(asked.points or []):
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        lines.append(f"  {trial_name(index, values):40}  {shown}")
    write("".join(f"{line}\n" for line in lines))
