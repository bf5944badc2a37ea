"""The fast extractor is the published network."""

import threading

import pytest
import skimage.data
import torch
from torch.nn import functional as F
from torch_fidelity.utils import create_feature_extractor

from gram.metrics import effnet


@pytest.fixture(scope="module")
def published():
    """The network as its authors run it: batch normalisation unfolded, static "same" padding."""
    return effnet.load_network(effnet.embedded_weights_path())


@pytest.fixture(scope="module")
def fast():
    return effnet.EffNetLite0(effnet.NAME, [effnet.FEATURES])


def published_features(network, images):
    resized = F.interpolate(images.float(), size=(224, 224), mode="bilinear", antialias=True)
    with torch.no_grad():
        return network.extract_features((resized - 127) / 128).mean((2, 3))


@pytest.mark.parametrize("size", [32, 64, 224, 256])
def test_folded_network_is_the_published_one(published, fast, blobs, size):
    images = blobs(3, seed=0, size=size)
    expected = published_features(published, images)
    torch.testing.assert_close(fast(images)[0], expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_every_layer_is_folded(fast):
    kinds = {type(module).__name__ for module in fast.modules()}
    assert kinds == {"EffNetLite0", "FoldedBlock", "FoldedConv", "Sequential"}


@pytest.mark.parametrize(("picture", "label"), [("chelsea", 285), ("coffee", 967)], ids=["cat", "espresso"])
def test_features_tell_what_is_in_a_picture(published, fast, picture, label):
    image = torch.from_numpy(getattr(skimage.data, picture)()).permute(2, 0, 1)[None]
    assert published._fc(fast(image)[0]).argmax().item() == label


def test_features_do_not_depend_on_the_batch(fast, blobs):
    images = blobs(9, seed=1)
    one_by_one = torch.cat([fast(image[None])[0] for image in images])
    torch.testing.assert_close(fast(images)[0], one_by_one, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("count", [1, 4, 9])
def test_cores_share_the_work_without_changing_it(fast, blobs, count):
    images = blobs(count, seed=5)
    alone = fast(images)[0]
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = fast(images)[0]
        assert torch.get_num_threads() == 3
        found = []
        thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert found == [3]
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_features_are_averages_of_relu6(fast, blobs):
    features = fast(blobs(8, seed=2))[0]
    assert features.shape == (8, 1280)
    assert features.min() >= 0
    assert 0.1 < features.max() <= 6


def test_torch_fidelity_knows_the_extractor_by_name(blobs, fast):
    network = create_feature_extractor("effnetlite0", ["1280"], cuda=False, verbose=False)
    images = blobs(2, seed=3)
    assert torch.equal(network(images)[0], fast(images)[0])


def test_torch_fidelity_refuses_other_layers():
    with pytest.raises(ValueError, match="2048"):
        create_feature_extractor("effnetlite0", ["2048"], cuda=False, verbose=False)


def test_file_that_is_no_weights_is_named(tmp_path):
    path = tmp_path / "notes.pth"
    path.write_text("no weights here")
    with pytest.raises(ValueError, match=r"notes\.pth does not hold EfficientNet-lite0 weights"):
        effnet.load_network(path)
