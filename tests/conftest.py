"""Settings of every test: as many threads as are free, and no run of a test among the user's runs."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gltf import GltfProblems, gltf_problems

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: tests would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # and this from nohup
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: workers that begin them last would work alone at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True, scope="session")
def _own_tracking_store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Runs of tests go to a store of their own, also those of subprocesses."""
    store: Path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{store}"
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return os.environ["MLFLOW_TRACKING_URI"]


@pytest.fixture(autouse=True)
def _same_tracking_store(_own_tracking_store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration with a password in its address hands that to the environment, for its test alone."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", _own_tracking_store)


@pytest.fixture(scope="session")
def problems_of_glb() -> Callable[[Path], GltfProblems]:
    """Errors and warnings of the Khronos validator about a file."""
    return gltf_problems
