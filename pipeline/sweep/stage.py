"""`python -m pipeline.sweep`: many training runs, compared."""

from pathlib import Path

from pipeline.cli.console import say, write
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.stage import FORCE, Flag, Stage
from pipeline.config.options import ConfigError
from pipeline.config.schema import Config
from pipeline.prepare import stage as prepare
from pipeline.runtime import estimates
from pipeline.sweep import checks, folder, sweep_yaml, winner
from pipeline.sweep.ledger import Ledger
from pipeline.sweep.report import page, reading, table
from pipeline.sweep.report.record import Parent
from pipeline.sweep.report.results import Results
from pipeline.sweep.request import DEFAULT, Request, options_in_words, read
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
    resolve=read,
    own_help=lambda resolved: options_in_words(resolved.subject),
    usage="sweep=NAME ",
    flags=(
        Flag(name="resume", meaning="go on with a sweep that was interrupted"),
        Flag(name="apply", meaning="write the best trial's values into params.yaml, keeping a copy of it"),
        Flag(name="list", meaning="print the trials, and start nothing"),
        FORCE,
    ),
)


def run(
    request: Request, *, resume: bool = False, apply: bool = False, list: bool = False, force: bool = False
) -> int | None:
    """Run a sweep, or print or apply it.

    Raises:
        ConfigError: something about the request is wrong; nothing has been written.
        ValueError: the cluster, the data or the folder cannot be used.
    """
    if not request.chosen:
        raise ConfigError(f"which one? sweep=NAME, for instance sweep={DEFAULT}; --help lists them")
    if apply and not resume and (request.folder / winner.BEST).exists():
        return _apply(request.folder)
    sweep = request.settings.sweep
    if not list:
        connection.require_there(request.settings.ray.address)
    checks.check(request, room=not list and not force)
    if list:
        return _list(request)
    folder.require_right(request, resume=resume)
    with connection.connected(request.settings.ray.address):
        gpus = sweep.gpus if sweep.gpus is not None else float(connection.gpus_there() > 0)
        connection.require_room(sweep.cpus, gpus)
        machines.require_server(request.config.tracking)
        with folder.opened(request, resume=resume):
            code = _search(request, gpus, force=force)
    return _apply(request.folder) if apply and code is None else code


def _search(request: Request, gpus: float, *, force: bool) -> int | None:
    """Run the trials that are not over, and make table, best.yaml and report of all."""
    sweep, steps = request.settings.sweep, request.config.train.steps
    data = datasets.of_request(request, prepare.run if force else _prepare)
    machines.require_alike(request.folder, data.folders)
    ledger = Ledger(request.folder, cpus=sweep.cpus, gpus=gpus)
    with driver.stopping(request.folder / driver.STOP) as stop:
        record = Parent.start(
            request.config.tracking, request.name, sweep_yaml.read(request.folder), request.folder
        )
        try:
            with table.Live(request.name, steps=steps, total=request.num_trials) as live:

                def show() -> None:
                    trials = [*ledger.trials.values()]
                    live.show(trials)
                    record.update(trials)

                driver.run(request, ledger, stop, data=data, parent=record.run_id, changed=show, force=force)
            best = _conclude(request, ledger)
        except BaseException as error:
            record.finish(request.folder, "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
    if stop.exit_code is not None:
        over = len(ledger.trials) - len(ledger.unfinished)
        say(f"sweep: stopped after {over} of {request.num_trials} trials; --resume goes on")
    record.finish(request.folder, "KILLED" if stop.exit_code else "FINISHED" if best else "FAILED")
    return stop.exit_code or (None if best else EXIT_ERROR)


def _prepare(config: Config) -> None:
    """Prepare one of the data sets of the trials, if there is room."""
    estimates.require_room("prepare", config)
    prepare.run(config)


def _conclude(request: Request, ledger: Ledger) -> Trial | None:
    """Write table, best.yaml and report of the trials so far, and return the best one."""
    found = Results(request.folder, sweep_yaml.read(request.folder), [*ledger.trials.values()])
    text = table.as_text(found.ranking, steps=request.config.train.steps)
    (request.folder / "table.txt").write_text(text, encoding="utf-8")
    write("\n".join([text, *reading.lines(found), ""]))
    if (best := found.best) is not None:
        objective, count = found.objective, len(found.trials)
        file = winner.write_best(
            request.folder, best, request.compose(best.values), objective=objective, count=count
        )
        say(f"sweep: the best trial as params.yaml: {file}")
    say(f"sweep: the report: {page.write(request.folder)}")
    return best


def _apply(sweep: Path) -> None:
    copy = winner.apply(sweep / winner.BEST)
    state = "is what params.yaml says already" if copy is None else f"is in params.yaml now, which was {copy}"
    say(f"sweep: {sweep / winner.BEST} {state}; dvc repro trains it")


def _list(request: Request) -> None:
    """Print the trials that would run."""
    train = request.config.train
    length = f"{train.steps} steps with {train.batch_size} images"
    lines = [f"{request.num_trials} trials of {length}, in {request.folder}"]
    if (sets := len(datasets.configurations(request))) > 1:
        lines.append(f"{sets} data sets are prepared for them")
    if request.points is None:
        lines.append("Optuna chooses their values in")
        lines += [f"  {name}: {entry}" for name, entry in request.written.items()]
    for index, values in enumerate(request.points or []):
        shown = ", ".join(f"{name} = {value}" for name, value in values.items())
        lines.append(f"  {trial_name(index, values):40}  {shown}")
    write("".join(f"{line}\n" for line in lines))
