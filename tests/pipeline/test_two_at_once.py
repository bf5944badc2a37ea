"""Two processes of a stage that begin at once: one does its work, the other says in a line who does."""

import re
import socket
from pathlib import Path

import pytest
from crash_points import near
from killed_stages import Stages
from test_killed_stages import OUTPUTS, arguments, chain, stages, tree

from pipeline.cli.exit_codes import EXIT_ERROR

__all__ = ["chain", "stages"]  # fixtures
SINCE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"


@pytest.mark.parametrize("stage", ["prepare", "export", "evaluate", "pack"])
def test_of_two_that_begin_at_once_one_works_and_the_other_names_it(
    stages: Stages, chain: Path, tmp_path: Path, stage: str
) -> None:
    places = [chain / output for output in OUTPUTS[stage]]
    said = [tmp_path / "first", tmp_path / "second"]
    codes = stages.together(stage, arguments(chain, stage), said)
    assert sorted(codes, key=str) == [0, EXIT_ERROR], [file.read_text() for file in said]
    refusal = said[codes.index(EXIT_ERROR)].read_text()
    holder = rf"process \d+ \({stage}\) on {re.escape(socket.gethostname())}, since {SINCE}"
    line = rf"{stage}: {re.escape(str(places[0]))} is in use by {holder}: wait for it, or end it\n"
    assert re.fullmatch(line, refusal)
    both = tree(chain, stage)
    assert all(near(place) == [place] for place in places)
    assert stages.run(stage, arguments(chain, stage)) == 0
    assert tree(chain, stage) == both
