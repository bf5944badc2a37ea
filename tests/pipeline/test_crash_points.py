"""At every moment SIGKILL leaves the old output of a stage or the new one, and nothing for good."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from crash_points import digests, near, restore
from killed_stages import Stages
from test_killed_stages import OUTPUTS, arguments, chain, make_older, stages

from pipeline.runtime import outputs
from pipeline.runtime.recognition import DATA, EVALUATION, EXPORT, PACK

__all__ = ["chain", "stages"]  # fixtures

KINDS = {"prepare": DATA, "export": EXPORT, "evaluate": EVALUATION, "pack": PACK}
AT_LEAST = {"prepare": 80, "export": 40, "evaluate": 40, "report": 4, "pack": 25}
"""Moments of each stage: were they fewer, they would no longer be heard of."""
RUN_AGAIN = (0.0, 0.6, 1.0)
"""Moments after which the stage is run again, as parts of all."""


class _Over(Exception):
    """The beginning of a stage is enough."""


@contextmanager
def begun(stage: str, output: Path) -> Iterator[None]:
    """A stage between its beginning and its first change in place of the output; it ends without one."""
    with suppress(_Over):
        if stage == "report":
            with outputs.replacing_page(output):
                yield
                raise _Over
        with outputs.replacing(output, KINDS[stage]):
            yield
            raise _Over


def require_whole_and_swept(stage: str, output: Path, whole: list[dict[str, str]]) -> None:
    """What stands there is one of the two, also after the next beginning, which leaves nothing else."""
    before = digests(output)
    assert before in [*whole, {}]
    with begun(stage, output):
        own = [path for path in near(output) if path != output]
        assert len(own) == (1 if stage == "report" else 2), own  # its lock, and what it writes aside
    assert digests(output) in whole
    assert before in ({}, digests(output))
    assert near(output) == [output]


@pytest.mark.parametrize("stage", list(OUTPUTS))
def test_at_every_change_on_the_disk_a_stage_could_be_killed(
    stages: Stages, chain: Path, tmp_path: Path, stage: str
) -> None:
    places = [chain / output for output in OUTPUTS[stage]]
    assert stages.run(stage, arguments(chain, stage)) == 0
    new = [digests(place) for place in places]
    make_older(chain, stage)
    old = [digests(place) for place in places]
    assert all(one != other for one, other in zip(old, new, strict=True))
    assert stages.record(stage, arguments(chain, stage), places, tmp_path / "moments") == 0
    assert [digests(place) for place in places] == new

    moments = sorted((tmp_path / "moments").iterdir())
    print(f"{stage}: {len(moments)} moments")  # noqa: T201
    assert len(moments) >= AT_LEAST[stage]
    for moment in moments:
        for number, place in enumerate(places):
            copy = tmp_path / "copy" / place.name
            shutil.copytree(moment / str(number), copy.parent)
            require_whole_and_swept(stage, copy, [old[number], new[number]])
            shutil.rmtree(copy.parent)
    for part in RUN_AGAIN:
        moment = moments[round(part * (len(moments) - 1))]
        for number, place in enumerate(places):
            restore(place, moment / str(number))
        assert stages.run(stage, arguments(chain, stage)) == 0
        assert [digests(place) for place in places] == new
        assert all(near(place) == [place] for place in places)
