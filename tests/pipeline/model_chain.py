"""Stages after training, as small as they can be, in the folder that a test works in."""

from pipeline.cli.command import main
from pipeline.evaluate import stage as evaluate
from pipeline.export import stage as export
from pipeline.prepare import stage as prepare
from pipeline.report import stage as report
from pipeline.train import stage as train

TINY = ("experiment=tiny", "train.steps=2", "train.sample_every=1000")
NOTHING_MORE = (
    "evaluate.noise_views=0", "evaluate.surfaces_views=0", "evaluate.consistency_latents=0",
    "evaluate.pose_images=0", "evaluate.inversion_identities=0", "evaluate.at_initialisation=false",
    "evaluate.real_against_real=false", "evaluate.images=4",
)  # fmt: skip
SMALL = (
    "export.resolution=16",
    "export.layers=0",
    "export.videos=[]",
    "export.formats=[ply]",
    "export.texture=0",
)
STAGES = {stage.STAGE.name: stage for stage in (prepare, train, evaluate, export, report)}


def stage(name: str, *more: str) -> int:
    """The exit code of a stage."""
    given = [*TINY, *NOTHING_MORE, *SMALL, *more]
    return main(STAGES[name].STAGE, STAGES[name].run, given)
