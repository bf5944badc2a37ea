"""Mixed precision of a training step.

The manifold predictor, intersections, pre-activations of the radiance field and compositing stay in
float32: pre-activations are tens of radians, and surfaces would tear. The discriminator runs under autocast.
Matrix products of the radiance field use float16 in both modes, as its activations lie in [-1, 1].
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from gram.shapes import Float

Precision = Literal["no", "bf16", "fp16"]

INITIAL_SCALE = 1024.0
"""Initial loss scale; torch's default, 65536, loses the first steps to overflow."""
_TYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision:
    """Autocast of the discriminator, and loss scaling against underflow of its gradients.

    Args:
        precision: `no`, `bf16`, or `fp16`, which scales losses.
        device_type: type of the device, `cpu` or `cuda`.
    """

    def __init__(self, precision: Precision, device_type: str) -> None:
        self._device_type = device_type
        self._dtype = _TYPES[precision]
        self._scaler = GradScaler(device_type, init_scale=INITIAL_SCALE) if precision == "fp16" else None

    @property
    def radiance(self) -> torch.dtype | None:
        """Type of matrix products in the radiance field; None is float32."""
        return None if self._dtype is None else torch.float16

    def discriminate(
        self, discriminator: nn.Module, images: Tensor, *, twice_differentiated: bool = False
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 2"]]:
        """Run the discriminator under autocast; logits and poses are float32.

        The range of float16 is too small for second derivatives, which use float32.
        """
        if self._dtype is None or (twice_differentiated and self._dtype is torch.float16):
            return discriminator(images)
        with torch.autocast(self._device_type, self._dtype):
            logits, poses = discriminator(images)
        return logits.float(), poses.float()

    def scale(self, value: Tensor) -> Tensor:
        """Multiply a loss by the scale of this step; `unscale` divides the gradients by it."""
        return value if self._scaler is None else self._scaler.scale(value)

    def unscale(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer by the scale."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Step the optimizer, unless a gradient is not finite."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)

    def update(self) -> None:
        """Update the scale after a step: lower it after an overflow, raise it periodically."""
        if self._scaler is not None:
            self._scaler.update()

    def tensors(self) -> dict[str, Tensor]:
        """State of the loss scale, by name."""
        if self._scaler is None:
            return {}
        state = self._scaler.state_dict()
        return {name: torch.tensor(float(state[name])) for name in ("scale", "_growth_tracker")}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore the values of `tensors()`."""
        if self._scaler is not None and tensors:
            scale, tracker = float(tensors["scale"]), int(tensors["_growth_tracker"])
            state = self._scaler.state_dict()
            self._scaler.load_state_dict({**state, "scale": scale, "_growth_tracker": tracker})
