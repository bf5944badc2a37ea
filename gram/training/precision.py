"""What of a training step is computed in half precision.

The manifold predictor, intersections, pre-activations of the radiance field and compositing stay in
float32: pre-activations are tens of radians, and surfaces would tear. The discriminator runs under autocast.
Matrix products of the radiance field take float16 in both modes, as its activations are at most 1.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gram.shapes import Float

Precision = Literal["no", "bf16", "fp16"]

INITIAL_SCALE = 1024.0
"""Of losses: torch's own default, 65536, loses the first steps to overflow."""
_TYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision:
    """Autocast of the discriminator, and loss scaling where its gradients could underflow.

    Args:
        precision: `no`, `bf16`, or `fp16`, which scales losses.
        device_type: of the tensors, `cpu` or `cuda`.
    """

    def __init__(self, precision: Precision, device_type: str) -> None:
        self._device_type = device_type
        self._dtype = _TYPES[precision]
        self._scaler = GradScaler(device_type, init_scale=INITIAL_SCALE) if precision == "fp16" else None

    @property
    def radiance(self) -> torch.dtype | None:
        """Type of the radiance field's matrix products; None is float32."""
        return None if self._dtype is None else torch.float16

    def discriminate(
        self, discriminator: nn.Module, images: Tensor, *, twice_differentiated: bool = False
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 2"]]:
        """Logits and poses of a discriminator that runs under autocast, ready for losses in full precision.

        The range of float16 is too small for second derivatives: these are taken in float32.
        """
        if self._dtype is None or (twice_differentiated and self._dtype is torch.float16):
            return discriminator(images)
        with torch.autocast(self._device_type, self._dtype):
            logits, poses = discriminator(images)
        return logits.float(), poses.float()

    def scale(self, value: Tensor) -> Tensor:
        """A loss times the scale of this step; `step` takes it back from the gradients."""
        return value if self._scaler is None else self._scaler.scale(value)

    def unscale(self, optimizer: Optimizer) -> None:
        """Take the scale out of the gradients of an optimizer."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Step, unless a scaled gradient is not finite."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)

    def update(self) -> None:
        """End a training step: lower the scale where gradients overflowed, raise it now and then."""
        if self._scaler is not None:
            self._scaler.update()

    def tensors(self) -> dict[str, Tensor]:
        """What changes while training."""
        if self._scaler is None:
            return {}
        state = self._scaler.state_dict()
        return {name: torch.tensor(float(state[name])) for name in ("scale", "_growth_tracker")}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over the values of `tensors()`."""
        if self._scaler is not None and tensors:
            scale, tracker = float(tensors["scale"]), int(tensors["_growth_tracker"])
            state = self._scaler.state_dict()
            self._scaler.load_state_dict({**state, "scale": scale, "_growth_tracker": tracker})
