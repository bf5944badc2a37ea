"""The bundle in the repository is what its sources make."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BUNDLE = ROOT / "pipeline/export/viewer/viewer.js"


def test_the_bundle_is_that_of_the_sources(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "web/node_modules/esbuild").exists():
        missing = "node and what `npm ci` in web/ installs are needed to bundle the viewer"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    made = tmp_path / "viewer.js"
    subprocess.run([node, "build.mjs", made], cwd=ROOT / "web", check=True, timeout=60)
    assert made.read_bytes() == BUNDLE.read_bytes(), "run `node build.mjs` in web/"


def test_the_bundle_carries_the_licence_of_what_it_holds() -> None:
    head = BUNDLE.read_text()[:2000]
    assert "three.js authors" in head
    assert "Permission is hereby granted" in head


def test_the_bundle_can_stand_in_a_page() -> None:
    assert "</script" not in BUNDLE.read_text().lower()
