"""Image sets with a known relation, and the embedded extractor, loaded once."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.modules.module import _IncompatibleKeys
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from gram.metrics import Extractor, load_extractor


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return load_extractor()


@pytest.fixture(scope="session")
def blobs() -> Callable[..., Tensor]:
    """Smooth coloured pictures; the same seed gives the same pictures."""

    def make(count: int, *, seed: int, size: int = 32) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, 3, 4, 4, generator=generator) * 255
        return F.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 255).to(torch.uint8)

    return make


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    """A file in torch-fidelity's format with random weights: the real ones are a download."""

    class Untrained(FeatureExtractorInceptionV3):
        def load_state_dict(self, *_args, **_kwargs):
            return _IncompatibleKeys([], [])

    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save({}, path)  # noqa: TID251 - the format that torch-fidelity reads
    torch.manual_seed(0)
    network = Untrained("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    torch.save(network.state_dict(), path)  # noqa: TID251
    return path
