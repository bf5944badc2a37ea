"""What differences chance explains."""

from pathlib import Path

import numpy as np
import pytest
from sweep_folders import sampled, trial, write_curve, write_sweep

from pipeline.sweep.report import chance, results


def test_seeds_tell_the_spread_pooled_over_settings(tmp_path: Path) -> None:
    trials = [
        trial(10 * p + s, value, values={"sampler.points": p, "seed": s})
        for p, values in ((6, (10.0, 12.0)), (12, (50.0, 53.0, 56.0)))
        for s, value in enumerate(values)
    ]
    found = chance.of_results(results.read(write_sweep(tmp_path, trials)))
    assert found is not None
    assert found.sigma == pytest.approx(((2.0 + 18.0) / 3) ** 0.5)
    assert "5 trials that differ in their seed alone" in found.source


def test_fluctuation_of_a_curve_is_found_beside_its_trend(tmp_path: Path) -> None:
    rng, folder = np.random.default_rng(0), tmp_path
    one = sampled(0, "planes", 6)
    write_sweep(folder, [one])
    steps = np.arange(4000)
    write_curve(folder, one, (500.0 - 0.01 * steps + rng.normal(0.0, 3.0, len(steps))).tolist())
    found = chance.of_results(results.read(folder))
    assert found is not None
    assert found.sigma == pytest.approx(3.0, rel=0.1)
    assert found.explains(8.0)
    assert not found.explains(9.5)


def test_few_measurements_tell_nothing(tmp_path: Path) -> None:
    assert chance.of_results(results.read(write_sweep(tmp_path, [sampled(0, "planes", 6)]))) is None
