"""Extraction: which images, in which order, and when kept features may be used again."""

import dataclasses

import pytest
import torch
from torch.utils.data import Dataset
from torch_fidelity.feature_extractor_base import FeatureExtractorBase

from gram.metrics import Extractor, extract_features


class ChannelMeans(FeatureExtractorBase):
    """Three features an image; counts the images that it has seen."""

    def __init__(self):
        super().__init__("means", ["3"])
        self.seen = 0

    def forward(self, input):
        self.seen += len(input)
        return (input.float().mean((2, 3)),)

    @staticmethod
    def get_provided_features_list():
        return ("3",)


class Posed(Dataset):
    """Images with poses, as a data set of views has them."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], torch.zeros(2)


@pytest.fixture
def means():
    return Extractor(
        name="means", layer="3", weights_hash="0" * 64, network=ChannelMeans(), device=torch.device("cpu")
    )


@pytest.fixture
def images(blobs):
    return blobs(11, seed=0, size=8)


def test_rows_are_the_images_in_order(means, images):
    features = extract_features(images, means, batch_size=4)
    torch.testing.assert_close(features.values, images.float().mean((2, 3)))
    assert (features.size, features.extractor, features.weights_hash) == ((8, 8), "means", "0" * 64)


def test_dataset_with_poses_gives_the_features_of_its_images(means, images):
    assert torch.equal(
        extract_features(Posed(images), means, batch_size=4).values, extract_features(images, means).values
    )


def test_limit_takes_the_first_images_and_no_more(means, images):
    features = extract_features(images, means, limit=5, batch_size=3)
    torch.testing.assert_close(features.values, images[:5].float().mean((2, 3)))
    assert means.network.seen == 5


def test_slices_are_features_of_a_part(means, images):
    features = extract_features(images, means)
    part = features[3:7]
    assert len(part) == 4
    assert torch.equal(part.values, features.values[3:7])
    assert (part.size, part.extractor) == (features.size, features.extractor)


def test_progress_counts_every_image_up_to_the_total(means, images):
    calls = []
    extract_features(images, means, batch_size=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 11), (8, 11), (11, 11)]


def test_second_extraction_reads_the_cache(means, images, tmp_path):
    first = extract_features(images, means, cache_dir=tmp_path / "cache")
    calls = []
    second = extract_features(
        images, means, cache_dir=tmp_path / "cache", progress=lambda *call: calls.append(call)
    )
    assert torch.equal(first.values, second.values)
    assert means.network.seen == 11
    assert calls == [(11, 11)]


@pytest.mark.parametrize("change", ["pixel", "hash", "limit", "size", "weights", "layer"])
def test_cache_is_not_used_for_anything_else(means, images, tmp_path, change):
    extract_features(Posed(images), means, images_hash="a", cache_dir=tmp_path)
    extract_features(images, means, cache_dir=tmp_path)
    before = means.network.seen
    if change == "pixel":
        images[3, 1, 2, 2] ^= 1
        extract_features(images, means, cache_dir=tmp_path)
    elif change == "hash":
        extract_features(Posed(images), means, images_hash="b", cache_dir=tmp_path)
    elif change == "limit":
        extract_features(Posed(images), means, images_hash="a", limit=10, cache_dir=tmp_path)
    elif change == "size":
        extract_features(Posed(images[:, :, ::2, ::2]), means, images_hash="a", cache_dir=tmp_path)
    else:
        field = {"weights": {"weights_hash": "1" * 64}, "layer": {"layer": "2"}}[change]
        extract_features(
            Posed(images), dataclasses.replace(means, **field), images_hash="a", cache_dir=tmp_path
        )
    assert means.network.seen == before + (10 if change == "limit" else 11)


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_damaged_cache_is_written_anew(means, images, tmp_path, damage):
    expected = extract_features(images, means, cache_dir=tmp_path).values
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-4] if damage is None else damage)
    assert torch.equal(extract_features(images, means, cache_dir=tmp_path).values, expected)
    assert torch.equal(extract_features(images, means, cache_dir=tmp_path).values, expected)
    assert means.network.seen == 22
    assert list(tmp_path.iterdir()) == [file]


def test_dataset_without_a_hash_is_never_cached(means, images, tmp_path):
    extract_features(Posed(images), means, cache_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "set is empty"),
        (torch.zeros(4, 3, 8, 8), r"Image 0 is a torch\.float32 tensor.*need uint8"),
        (torch.zeros(4, 1, 8, 8, dtype=torch.uint8), r"shape \(1, 8, 8\)"),
        (torch.zeros(4, 8, 8, 3, dtype=torch.uint8), r"shape \(8, 8, 3\)"),
    ],
)
def test_sets_that_are_no_pictures_are_refused(means, bad, message):
    with pytest.raises(ValueError, match=message):
        extract_features(bad, means)


def test_image_of_another_size_is_named(means, images):
    mixed = [*images[:6], images[6, :, :4, :4], *images[7:]]
    with pytest.raises(ValueError, match=r"Image 6 has \(4, 4\) pixels but image 0 has \(8, 8\)"):
        extract_features(Posed(mixed), means, batch_size=3)


@pytest.mark.parametrize("limit", [0, -1, 12])
def test_limit_outside_the_set_says_how_many_there_are(means, images, limit):
    with pytest.raises(ValueError, match=rf"Features of {limit} images .* has 11"):
        extract_features(images, means, limit=limit)
