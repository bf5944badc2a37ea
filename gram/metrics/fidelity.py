"""FID, KID, precision and recall of generated images, with the protocol of the measurement.

The arithmetic is torch-fidelity's. *Precision* is the fraction of fakes inside the manifold of the reals,
*recall* the fraction of reals inside that of the fakes. A generator that collapsed to a few good images has
high precision and low recall.

A metric is only named `fid` or `kid` if it uses Inception; others carry the extractor's name, for instance
`fid_effnetlite0`. Values are comparable only with equal protocols: FID above all falls with the number of
images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch_fidelity
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

from gram.metrics.extractors import INCEPTION, load_extractor
from gram.metrics.features import Features, Images, Progress, count_images, extract_features

# minimum number of images of either set, by metric
SMALLEST_SET = {"fid": 2, "kid": 2, "precision": 4, "recall": 4}
METRICS = tuple(SMALLEST_SET)
NEIGHBORHOOD = 3


@dataclass(frozen=True)
class Measurement:
    """Metrics and their protocol.

    Attributes:
        values: numbers by metric, for instance `{"fid_effnetlite0": 12.3}`.
        protocol: entries that must be equal for two measurements to be comparable, as JSON.
    """

    values: dict[str, float]
    protocol: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Convert to `{"values": ..., "protocol": ...}`, for a metrics file."""
        return asdict(self)


def measure(
    fakes: Images,
    reals: Images,
    *,
    extractor: str = "effnetlite0",
    weights_path: str | Path | None = None,
    device: str | torch.device = "cpu",
    metrics: Sequence[str] = METRICS,
    batch_size: int = 64,
    reals_hash: str | None = None,
    cache_dir: str | Path | None = None,
    kid_subsets: int = 100,
    kid_subset_size: int = 1000,
    seed: int = 2020,
    protocol: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Measurement:
    """Extract features of both sets and compare them; see `extract_features` and `compare`.

    Call these two instead for several measurements that share a set. `progress` counts the images of both
    sets, the fakes first.
    """
    network = load_extractor(extractor, weights_path=weights_path, device=device)
    num_fakes, total = count_images(fakes), count_images(fakes) + count_images(reals)
    fake_features = extract_features(
        fakes, network, batch_size=batch_size, progress=_part(progress, 0, total)
    )
    real_features = extract_features(
        reals,
        network,
        batch_size=batch_size,
        images_hash=reals_hash,
        cache_dir=cache_dir,
        progress=_part(progress, num_fakes, total),
    )
    return compare(
        fake_features,
        real_features,
        metrics=metrics,
        kid_subsets=kid_subsets,
        kid_subset_size=kid_subset_size,
        seed=seed,
        protocol=protocol,
    )


def compare(
    fakes: Features,
    reals: Features,
    *,
    metrics: Sequence[str] = METRICS,
    kid_subsets: int = 100,
    kid_subset_size: int = 1000,
    seed: int = 2020,
    protocol: Mapping[str, Any] | None = None,
) -> Measurement:
    """Compute metrics between two sets of features.

    Args:
        fakes: features of generated images.
        reals: features of real images.
        metrics: any of "fid", "kid", "precision", "recall".
        kid_subsets: number of random subsets that KID is averaged over; one if subsets are the whole sets.
        kid_subset_size: images of each set in a subset; bounded by the size of the smaller set.
        seed: seed of the subsets.
        protocol: further facts about the images (truncation, poses, weights), stored with the numbers.

    Raises:
        ValueError: the sets have different extractors or image sizes, are too small for a metric, or
            `protocol` redefines an entry.
    """
    _check_comparable(fakes, reals, metrics)
    subset = min(kid_subset_size, len(fakes), len(reals))
    if subset < 2:
        raise ValueError(f"KID needs subsets of at least 2 images; kid_subset_size is {kid_subset_size}.")
    if subset == len(fakes) == len(reals):
        kid_subsets = 1
    measured = _feature_protocol(fakes, reals) | {
        "kid_subsets": kid_subsets,
        "kid_subset_size": subset,
        "kid_seed": seed,
    }
    if clash := measured.keys() & (protocol or {}).keys():
        raise ValueError(f"The protocol entries {sorted(clash)} are the measurement's own; rename yours.")
    results = _distances(fakes, reals, metrics, kid_subsets, subset, seed)
    values = {_label(metric, fakes.extractor): results[metric] for metric in metrics}
    return Measurement(values, measured | dict(protocol or {}))


def _feature_protocol(fakes: Features, reals: Features) -> dict[str, Any]:
    return {
        "num_fakes": len(fakes),
        "num_reals": len(reals),
        "resolution": list(fakes.size),
        "extractor": fakes.extractor,
        "extractor_weights_sha256": fakes.weights_hash,
        "reals_hash": reals.images_hash,
        "neighborhood": NEIGHBORHOOD,
        "torch_fidelity": torch_fidelity.__version__,
    }


def _distances(
    fakes: Features, reals: Features, metrics: Sequence[str], kid_subsets: int, subset: int, seed: int
) -> dict[str, float]:
    results: dict[str, float] = {}
    if "fid" in metrics:
        statistics = [fid_features_to_statistics(features.values) for features in (fakes, reals)]
        results["fid"] = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
    if "kid" in metrics:
        options = {"kid_subsets": kid_subsets, "kid_subset_size": subset, "rng_seed": seed, "verbose": False}
        results["kid"] = kid_features_to_metric(fakes.values, reals.values, **options)[KEY_METRIC_KID_MEAN]
    if "precision" in metrics or "recall" in metrics:
        options = {"prc_neighborhood": NEIGHBORHOOD, "save_cpu_ram": True, "verbose": False}
        results |= prc_features_to_metric(fakes.values, reals.values, **options)
    return results


def _check_comparable(fakes: Features, reals: Features, metrics: Sequence[str]) -> None:
    if unknown := [metric for metric in metrics if metric not in SMALLEST_SET]:
        raise ValueError(f"There is no metric {unknown[0]!r}; choose from {', '.join(METRICS)}.")
    if (fakes.extractor, fakes.weights_hash) != (reals.extractor, reals.weights_hash):
        raise ValueError(
            f"The fakes' features are from {fakes.extractor} (weights {fakes.weights_hash[:12]}), the reals' "
            f"from {reals.extractor} (weights {reals.weights_hash[:12]}); extract both with one network."
        )
    if fakes.size != reals.size:
        raise ValueError(
            f"The fakes have {fakes.size[0]} x {fakes.size[1]} pixels and the reals {reals.size[0]} x "
            f"{reals.size[1]}; read the reals at the fakes' size, as only one size is comparable."
        )
    for metric in metrics:
        for name, features in (("fakes", fakes), ("reals", reals)):
            if len(features) < SMALLEST_SET[metric]:
                raise ValueError(
                    f"{metric} needs at least {SMALLEST_SET[metric]} images of each set, but there are "
                    f"{len(features)} {name}."
                )


def _label(metric: str, extractor: str) -> str:
    if extractor == INCEPTION:
        return metric if metric in ("fid", "kid") else f"{metric}_inception"
    return f"{metric}_{extractor}"


def _part(progress: Progress | None, before: int, total: int) -> Progress | None:
    return None if progress is None else lambda done, _: progress(before + done, total)
