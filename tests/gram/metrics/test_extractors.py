"""Extractors by name: their labels, and what is said when their weights are missing or wrong."""

import hashlib
import urllib.error

import pytest
import torch
from torch_fidelity import feature_extractor_inceptionv3 as inception

from gram.metrics import effnet, extractors, load_extractor


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """A machine that has downloaded nothing and cannot."""

    def refuse(*_args, **_kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)


def test_weights_hash_is_that_of_the_file(extractor):
    content = effnet.embedded_weights_path().read_bytes()
    assert extractor.weights_hash == hashlib.sha256(content).hexdigest()
    assert (extractor.name, extractor.layer) == ("effnetlite0", "1280")


def test_weights_path_replaces_the_default(tmp_path, blobs, extractor):
    state = torch.load(effnet.embedded_weights_path(), weights_only=True)  # noqa: TID251 - reads tensors only
    state["_conv_head.weight"] *= 0
    torch.save(state, tmp_path / "dead.pth")  # noqa: TID251 - the format under test
    dead = load_extractor(weights_path=tmp_path / "dead.pth")
    images = blobs(2, seed=0)
    assert dead.weights_hash != extractor.weights_hash
    assert torch.equal(dead(images)[0], dead(images)[1])
    assert not torch.equal(extractor(images)[0], extractor(images)[1])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="'resnet'; choose one of effnetlite0, inception-v3-compat"):
        load_extractor("resnet")


@pytest.mark.parametrize("name", ["effnetlite0", "inception-v3-compat"])
def test_missing_weights_file_is_named(name, tmp_path):
    with pytest.raises(ValueError, match=r"gone\.pth of the extractor .* does not exist; give"):
        load_extractor(name, weights_path=tmp_path / "gone.pth")


def test_inception_refuses_weights_of_another_network():
    with pytest.raises(ValueError, match="another network than 'inception-v3-compat'; give torch-fidelity's"):
        load_extractor("inception-v3-compat", weights_path=effnet.embedded_weights_path())


def test_inception_never_runs_code_from_a_file(tmp_path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (ran.write_text, ("x",))

    torch.save({"fc.weight": Trap()}, tmp_path / "trap.pth")  # noqa: TID251 - what an attacker would do
    with pytest.raises(ValueError, match=r"trap\.pth is not a file of PyTorch weights"):
        load_extractor("inception-v3-compat", weights_path=tmp_path / "trap.pth")
    assert not ran.exists()


@pytest.mark.usefixtures("no_network")
def test_inception_without_a_network_says_what_to_do():
    with pytest.raises(ValueError, match=r"no route to host.*pass the file as weights_path.*'effnetlite0'"):
        load_extractor("inception-v3-compat")


@pytest.mark.usefixtures("no_network")
def test_inception_is_taken_from_the_hub_folder(tmp_path, inception_weights):
    place = tmp_path / "checkpoints" / inception.URL_INCEPTION_V3.rsplit("/", 1)[1]
    place.parent.mkdir()
    place.symlink_to(inception_weights)
    found = load_extractor("inception-v3-compat")
    given = load_extractor("inception-v3-compat", weights_path=inception_weights)
    assert found.weights_hash == given.weights_hash
    assert (found.name, found.layer) == (extractors.INCEPTION, "2048")
