"""`python -m pipeline.train`: adversarial training that resumes after interruptions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gram.data.reader import ImageDataset
from pipeline.cli.console import say
from pipeline.cli.exit_codes import EXIT_ERROR, EXIT_HANGUP, EXIT_INTERRUPTED, EXIT_REQUEUE
from pipeline.cli.stage import Stage
from pipeline.config.loader import as_dict
from pipeline.config.options import leaves
from pipeline.config.places import lasting
from pipeline.config.schema import Config
from pipeline.runtime import build, estimates, outputs, scene, torch_settings
from pipeline.runtime.launch import exit_status, start
from pipeline.runtime.processes import Team, join
from pipeline.tracking import provenance, runs
from pipeline.tracking.fingerprint import fingerprint, what_matters
from pipeline.tracking.tracker import Tracker
from pipeline.train import checkpoints, out_of_memory
from pipeline.train.collapse import CollapseError
from pipeline.train.loop import load_reals, train
from pipeline.train.observer import NoObserver, Observer
from pipeline.train.run import Record, Run, save_model


def _require_room(config: Config) -> None:
    if not exit_status.is_worker():  # the launcher has checked
        estimates.require_room("train", config)


STAGE = Stage(
    name="train",
    summary="""
Trains a generator and a discriminator on data/train. Every train.checkpoint_every steps a checkpoint is
written to checkpoints/<fingerprint of the configuration without its length>/; the same command resumes from
it exactly after any interruption, and raising train.steps continues from the last step.

runs/train/ receives metrics.jsonl and samples/*.png during training, and model/ at its end. With
train.measure_every it receives best/ too, the model with the smallest distance to real images.

A run whose numbers are not finite ends at once; so does one that has collapsed, unless
train.stop_on_collapse=false. docs/watching.md lists what is logged and what counts as collapse.

train.launch.processes=2 trains with several processes of this machine, one per GPU; docs/multi-node.md
describes training on several machines. The result does not depend on their number, except for rounding.""",
    groups=("model", "sampler", "train", "tracking"),
    examples=(
        ("python -m pipeline.train", "the experiment in params.yaml: eight minutes on two cores"),
        ("python -m pipeline.train train.steps=4000", "go on to twice the steps"),
        ("python -m pipeline.train sampler.points=12 tracking=none", "more surfaces, without MLflow"),
        ("python -m pipeline.train experiment=heads64 train.launch.processes=8", "eight GPUs"),
    ),
    exit_codes=f"""\
  {EXIT_REQUEUE}   stopped by SIGTERM or SIGUSR1 with a checkpoint: schedulers may requeue
  {EXIT_HANGUP}  stopped with a checkpoint because its terminal was closed
  {EXIT_INTERRUPTED}  stopped by Ctrl-C with a checkpoint""",
    require_room=_require_room,
)


def run(config: Config) -> int | None:
    """Train, and write the model, metrics.jsonl, curves.csv and samples to paths.train.

    Returns:
        Exit code if a signal or a collapse, which is reported, stopped training; else None.

    Raises:
        ValueError: data and configuration do not match, the machine cannot run the configuration, or
            paths.train holds something that training did not write.
        OSError: a checkpoint cannot be written; the one before it is intact.
    """
    outputs.require_run(Path(config.paths.train))
    if (code := start.run(config)) is not None:
        return code
    torch_settings.apply(config.train)
    reading = outputs.reading(Path(config.paths.train_data), STAGE.name)
    with reading, join(config) as team, out_of_memory.explained(config, team):
        dataset = scene.open_dataset(config.paths.train_data, config.data)
        mark = fingerprint(config, data_hash=dataset.content_hash)
        team.require_equal(
            "fingerprint of program, configuration and data", mark, remedy="give every machine the same"
        )
        state = build.training_state(config, dataset.meta, team.device, team.backend)
        build.require_reachable_levels(state.generator, scene.training_poses(config.data, dataset.meta))
        reals = load_reals(dataset, team.device)
        try:
            training = Run(config=config, state=state, dataset=dataset, reals=reals, team=team)
            if team.is_first:
                return _run_first(training, mark)
            checkpoints.resume(state, Path(), team, {})
            return train(training, NoObserver())
        except CollapseError as error:
            return _end_together(error, team)


def _end_together(error: CollapseError, team: Team) -> int:
    """Report the reason on the first process before any ends: launchers kill all processes when one fails."""
    if team.is_first:
        say(f"train: {error}")
    team.processes.largest(0)
    return EXIT_ERROR


def _run_first(run: Run, mark: str) -> int | None:
    """Train as the process that writes files and messages."""
    config, dataset = run.config, run.dataset
    places, steps = lasting(config.paths.checkpoints), config.train.steps
    with (
        checkpoints.work_folder(places, mark, steps=steps) as folder,
        outputs.publishing(Path(config.paths.train)),
    ):
        checkpoints.announce_replacement(Path(config.paths.train) / "model", places, mark, steps=steps)
        now = checkpoints.conditions(config, run.team)
        matters = what_matters(config, data_hash=dataset.content_hash)
        start_from = config.train.start_from
        checkpoints.resume(run.state, folder, run.team, now, start_from=start_from, matters=matters)
        with _tracked(config, dataset, mark, folder) as tracker:
            origin = {"seed": config.seed, "data_hash": dataset.content_hash, "fingerprint": mark}
            origin["run"] = tracker.run_id
            record = Record(folder=folder, tracker=tracker, conditions=now, origin=origin)
            observer = Observer(run, record)
            code = train(run, observer)
            if code is None:
                observer.finish(_publish(run, record))
            tracker.finish("FINISHED" if code is None else "KILLED")
    return code


@contextmanager
def _tracked(config: Config, dataset: ImageDataset, mark: str, folder: Path) -> Iterator[Tracker]:
    """Open the tracked run of this training; any error in the block ends it, too."""
    tracker = runs.start(config.tracking, state=folder / runs.STATE)
    try:
        tracker.parameters(dict(leaves(as_dict(config))))
        tracker.tags(provenance.tags(data_hash=dataset.content_hash, fingerprint=mark))
        tracker.catch_up(lasting(config.paths.checkpoints))
        yield tracker
    except BaseException as error:
        tracker.finish("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
        raise


def _publish(run: Run, record: Record) -> Path:
    """Write the last model to paths.train."""
    model = Path(run.config.paths.train) / "model"
    save_model(run, record, model)
    record.tracker.artifact(model)
    say(f"train: {model} after {run.state.step} steps")
    return model
