"""Metrics between sets of images, with the protocol of every number; depth, angle and surface errors."""

from gram.metrics.extractors import Extractor, load_extractor
from gram.metrics.features import Features, extract_features
from gram.metrics.fidelity import Measurement, compare, measure

__all__ = ["Extractor", "Features", "Measurement", "compare", "extract_features", "load_extractor", "measure"]
