"""Advice on settings when training runs out of memory."""

from collections.abc import Iterator
from contextlib import contextmanager

from gram.system.memory import is_out_of_memory
from pipeline.config.schema import Config
from pipeline.runtime.processes import Team


class OutOfMemoryError(ValueError):
    """Out of memory on the device; the message names the setting to change and its new value."""


@contextmanager
def explained(config: Config, team: Team) -> Iterator[None]:
    """Convert failed allocations, on a GPU or CPU, into advice.

    Raises:
        OutOfMemoryError: replaces the error of torch or Python.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        share = config.train.batch_size // team.processes.size
        advice = remedy(config, share=share, device=team.device.type)
        raise OutOfMemoryError(f"{_situation(config, share, team.device.type)}: {advice}") from error


def remedy(config: Config, *, share: int, device: str) -> str:
    """Next setting to change: those that keep the result first, the cheapest in time before the others.

    `share` is the number of images per process and update, `device` is `cpu` or `cuda`.
    """
    train = config.train
    together = min(train.micro_batch or share, share)
    if together > 1:
        setting = f"train.micro_batch={together // 2}"
    elif 2 * train.patches <= config.data.size:
        setting = f"train.patches={2 * train.patches}"
    elif not train.recompute:
        setting = "train.recompute=true"
    elif device == "cuda" and train.precision == "no":
        return "set train.precision=bf16, which trains anew, or use more processes or a smaller model"
    else:
        return "use more processes, or a smaller model, sampler.points or data.size"
    return (
        f"set {setting}, which does not change the result, and run again to go on from the last checkpoint; "
        "python -m pipeline.plan with the same arguments finds what fits"
    )


def _situation(config: Config, share: int, device: str) -> str:
    train = config.train
    where = "the GPU's memory is" if device == "cuda" else "main memory is"
    settings = (
        f"{min(train.micro_batch or share, share)} of {share} images at a time (train.micro_batch), "
        f"train.patches = {train.patches}, train.recompute = {str(train.recompute).lower()}, "
        f"train.precision = {train.precision}, {config.data.size} x {config.data.size} pixels"
    )
    return f"{where} not enough for {settings}"
