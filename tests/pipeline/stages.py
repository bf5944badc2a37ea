"""Modules of the stages by name, be they packages or single files."""

from importlib import import_module
from types import ModuleType


def stage_module(name: str) -> ModuleType:
    """The module with a stage's STAGE and run."""
    module = import_module(f"pipeline.{name}")
    return import_module(f"pipeline.{name}.stage") if hasattr(module, "__path__") else module
