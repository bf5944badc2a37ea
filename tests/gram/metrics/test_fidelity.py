"""Distances: equal to torch-fidelity's, with fakes and reals in the right places, and labelled."""

import dataclasses
import json
from typing import Any

import pytest
import torch
import torch_fidelity
from PIL import Image

from gram.metrics import Features, compare, extract_features, measure


def features_of(values, **changes):
    known = Features(values=values, size=(32, 32), extractor="effnetlite0", weights_hash="0" * 64)
    return dataclasses.replace(known, **changes)


def cloud(count, *, seed, dims=16, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return features_of(torch.randn(count, dims, generator=generator) * scale + shift)


def dump(images, folder):
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{index:04d}.png")
    return str(folder)


@pytest.mark.parametrize(
    ("name", "metrics", "count", "size"),
    [
        ("effnetlite0", ["fid", "kid", "precision", "recall"], 40, 32),
        ("inception-v3-compat", ["kid", "precision", "recall"], 6, 16),  # FID of 2048 features takes long
    ],
)
def test_numbers_are_those_of_torch_fidelity_on_the_same_pngs(
    name, metrics, count, size, blobs, tmp_path, inception_weights
):
    fakes, reals = blobs(count, seed=0, size=size), blobs(count + 1, seed=1, size=size) // 2
    weights = inception_weights if name.startswith("inception") else None
    kid: dict[str, Any] = {"kid_subset_size": 5, "kid_subsets": 7}
    ours = measure(fakes, reals, extractor=name, weights_path=weights, metrics=metrics, **kid)
    direct = torch_fidelity.calculate_metrics(
        input1=dump(fakes, tmp_path / "fakes"),
        input2=dump(reals, tmp_path / "reals"),
        feature_extractor=name,
        feature_extractor_weights_path=weights and str(weights),
        fid="fid" in metrics,
        **kid,
        **{"kid": True, "prc": True, "cuda": False, "cache": False, "verbose": False, "save_cpu_ram": True},
    )
    keys = {"fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean"}
    expected = [direct[keys.get(metric, metric)] for metric in metrics]
    assert list(ours.values.values()) == pytest.approx(expected, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        (
            "effnetlite0",
            ["fid_effnetlite0", "kid_effnetlite0", "precision_effnetlite0", "recall_effnetlite0"],
        ),
        ("inception-v3-compat", ["fid", "kid", "precision_inception", "recall_inception"]),
    ],
)
def test_only_inception_measures_fid(name, labels):
    fakes, reals = (features_of(cloud(20, seed=seed).values, extractor=name) for seed in (0, 1))
    assert list(compare(fakes, reals).values) == labels


def test_collapsed_generator_is_precise_and_recalls_nothing(blobs, extractor):
    reals = blobs(60, seed=0)
    collapsed = reals[:1].repeat(60, 1, 1, 1) ^ (blobs(60, seed=1) & 1)
    of_reals, of_fakes = (extract_features(images, extractor) for images in (reals, collapsed))
    values = compare(of_fakes, of_reals, metrics=("precision", "recall")).values
    assert values["precision_effnetlite0"] == 1
    assert values["recall_effnetlite0"] < 0.1
    swapped = compare(of_reals, of_fakes, metrics=("precision", "recall")).values
    assert swapped["precision_effnetlite0"] < 0.1
    assert swapped["recall_effnetlite0"] == 1


def test_fid_is_that_of_the_gaussians():
    # With equal covariances, the squared shift; for doubled vectors, the trace and the squared mean.
    reals = cloud(4000, seed=0)
    moved, spread = features_of(reals.values + 0.5), features_of(reals.values * 2)
    assert compare(moved, reals, metrics=["fid"]).values["fid_effnetlite0"] == pytest.approx(4.0, rel=1e-3)
    trace = reals.values.var(dim=0).sum().item() + reals.values.mean(dim=0).square().sum().item()
    assert compare(spread, reals, metrics=["fid"]).values["fid_effnetlite0"] == pytest.approx(trace, rel=1e-3)


def test_set_has_no_distance_from_itself():
    reals = cloud(200, seed=0)
    values = compare(reals, reals).values
    assert values["fid_effnetlite0"] == pytest.approx(0, abs=1e-3)
    assert values["precision_effnetlite0"] == values["recall_effnetlite0"] == 1


def test_worse_fakes_measure_worse(blobs, extractor):
    reals = extract_features(blobs(48, seed=0), extractor)
    fresh = extract_features(blobs(48, seed=1), extractor)
    darker = extract_features(blobs(48, seed=1) // 2, extractor)
    near, far = (compare(fakes, reals, metrics=["kid", "precision"]).values for fakes in (fresh, darker))
    assert far["kid_effnetlite0"] > 1.5 * near["kid_effnetlite0"]
    assert far["precision_effnetlite0"] < near["precision_effnetlite0"]


def test_kid_subsets_never_exceed_the_smaller_set():
    measured = compare(cloud(30, seed=0), cloud(50, seed=1), kid_subset_size=1000)
    assert measured.protocol["kid_subset_size"] == 30
    assert measured.protocol["kid_subsets"] == 100


def test_kid_of_whole_sets_is_computed_once_and_does_not_depend_on_the_seed():
    pair = cloud(40, seed=0), cloud(40, seed=1, shift=0.3)
    first, second = (compare(*pair, metrics=["kid"], seed=seed) for seed in (0, 1))
    assert first.protocol["kid_subsets"] == 1
    assert first.values["kid_effnetlite0"] == pytest.approx(second.values["kid_effnetlite0"], rel=1e-4)


def test_seed_chooses_the_subsets():
    pair = cloud(40, seed=0), cloud(40, seed=1)
    values = [compare(*pair, metrics=["kid"], kid_subset_size=10, seed=seed).values for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_every_number_comes_with_its_protocol():
    reals = features_of(cloud(25, seed=1).values, images_hash="abc")
    measured = compare(
        cloud(20, seed=0), reals, kid_subset_size=10, seed=3, protocol={"truncation": 0.7, "weights": "ema"}
    )
    assert measured.protocol == {
        "num_fakes": 20,
        "num_reals": 25,
        "resolution": [32, 32],
        "extractor": "effnetlite0",
        "extractor_weights_sha256": "0" * 64,
        "reals_hash": "abc",
        "kid_subsets": 100,
        "kid_subset_size": 10,
        "kid_seed": 3,
        "neighborhood": 3,
        "torch_fidelity": torch_fidelity.__version__,
        "truncation": 0.7,
        "weights": "ema",
    }
    assert json.loads(json.dumps(measured.as_dict())) == measured.as_dict()


def test_protocol_entries_of_the_caller_cannot_hide_measured_ones():
    with pytest.raises(ValueError, match=r"\['num_fakes'\] are the measurement's own"):
        compare(cloud(9, seed=0), cloud(9, seed=1), protocol={"num_fakes": 50_000})


def test_measure_keeps_only_the_features_of_the_reals(blobs, tmp_path):
    calls = []
    fakes, reals = blobs(8, seed=0), blobs(9, seed=1)
    options: dict[str, Any] = {"cache_dir": tmp_path, "batch_size": 5, "metrics": ["kid"]}
    first = measure(fakes, reals, progress=lambda *call: calls.append(call), **options)
    assert calls == [(5, 17), (8, 17), (13, 17), (17, 17)]
    assert len(list(tmp_path.iterdir())) == 1
    assert measure(fakes, reals, **options) == first


@pytest.mark.parametrize(("metric", "count"), [("fid", 1), ("kid", 1), ("precision", 3), ("recall", 3)])
def test_too_few_images_are_counted_in_the_error(metric, count):
    enough = cloud(10, seed=0)
    with pytest.raises(ValueError, match=f"{metric} needs at least {count + 1} images .* {count} fakes"):
        compare(cloud(count, seed=1), enough, metrics=[metric])
    with pytest.raises(ValueError, match=f"{metric} needs at least {count + 1} images .* {count} reals"):
        compare(enough, cloud(count, seed=1), metrics=[metric])
    assert len(compare(cloud(count + 1, seed=1), enough, metrics=[metric]).values) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": (64, 64)}, "fakes have 32 x 32 pixels and the reals 64 x 64"),
        ({"extractor": "inception-v3-compat"}, "from effnetlite0 .* from inception-v3-compat"),
        ({"weights_hash": "1" * 64}, "weights 000000000000.*weights 111111111111"),
    ],
)
def test_sets_that_cannot_be_compared_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        compare(cloud(9, seed=0), features_of(cloud(9, seed=1).values, **change))


def test_unknown_metric_lists_the_known_ones():
    with pytest.raises(ValueError, match="no metric 'ppl'; choose from fid, kid, precision, recall"):
        compare(cloud(9, seed=0), cloud(9, seed=1), metrics=["fid", "ppl"])


def test_kid_subset_of_one_image_is_refused():
    with pytest.raises(ValueError, match="at least 2 images; kid_subset_size is 1"):
        compare(cloud(9, seed=0), cloud(9, seed=1), kid_subset_size=1)
