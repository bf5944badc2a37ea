"""Training state: networks, moving averages, optimisers and step."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Adam

from gram.model.generator import Generator
from gram.networks.discriminator import Discriminator
from gram.training.ema import averaged_copy
from gram.training.precision import MixedPrecision, Precision

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of Adam's moments, which have the shapes of the weights."""


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of a training step.

    Attributes:
        batch_size: images per update of each network, over all processes.
        micro_batch: images at a time on each process; 0 is its whole share. Changes no gradient.
        patches: parts of an image that are back-propagated in turn; 1 is the whole. Changes no gradient.
        precision: precision of matrix products, see `gram.training.precision`.
        lr_generator, lr_discriminator, lr_manifold: learning rates; the last one is that of the sampler.
        betas: Adam's betas.
        grad_clip: maximum norm of the generator's gradient.
        r1_weight: weight lambda_r1 of `losses.r1_penalty`.
        r1_every: steps between R1 terms, each weighted by this number (lazy regularisation).
        pose_weight, real_pose_weight: weights of the pose losses on fakes and reals.
        foreground: fraction of an image in front of the background, see `gram.training.background`;
            None, as published, disables its losses.
        foreground_weight, border_weight, edge_weight: weights of the three background losses.
        ema_decays: decays of the moving averages of the generator.
        mirror: flip half of the reals.
        share_fakes: use the same fakes, rendered once, for D and G: a quarter less work, but D has already
            been updated on them.
        manifold_every: steps between updates of the sampler.
        seed: seed of all randomness.
    """

    batch_size: int
    micro_batch: int = 0
    patches: int = 1
    precision: Precision = "no"
    lr_generator: float
    lr_discriminator: float
    lr_manifold: float
    betas: tuple[float, float] = (0.0, 0.9)
    grad_clip: float = 1.0
    r1_weight: float = 1.0
    r1_every: int = 1
    pose_weight: float = 15.0
    real_pose_weight: float = 15.0
    foreground: float | None = None
    foreground_weight: float = 0.5
    border_weight: float = 1.0
    edge_weight: float = 0.0
    ema_decays: tuple[float, float] = (0.999, 0.9999)
    mirror: bool = True
    share_fakes: bool = False
    manifold_every: int = 1
    seed: int = 0


class TrainingState:
    """Networks, moving averages, optimisers and step."""

    def __init__(
        self, generator: Generator, discriminator: Discriminator, settings: TrainingSettings
    ) -> None:
        self.step = 0
        self.generator = generator
        self.discriminator = discriminator
        self.emas = [averaged_copy(generator, decay) for decay in settings.ema_decays]
        self.precision = MixedPrecision(settings.precision, next(generator.parameters()).device.type)
        generator.radiance.matmul_dtype = self.precision.radiance  # after the averages, which draw in float32
        # the sampler has its own learning rate
        geometry = list(generator.sampler.parameters())
        geometry_ids = {id(p) for p in geometry}
        rest = [p for p in generator.parameters() if id(p) not in geometry_ids]
        groups = [{"params": rest}, {"params": geometry, "lr": settings.lr_manifold}]
        self.generator_optimizer = Adam(groups, lr=settings.lr_generator, betas=settings.betas, fused=True)
        self.discriminator_optimizer = Adam(
            discriminator.parameters(), lr=settings.lr_discriminator, betas=settings.betas, fused=True
        )

    def tensors(self) -> dict[str, Tensor]:
        """Weights, moving averages and moments, by name."""
        named = {f"{name}/{k}": v for name, module in self._modules() for k, v in module.state_dict().items()}
        for name, optimizer in self._optimizers():
            moments = optimizer.state_dict()["state"]
            named |= {f"{name}/{i}/{k}": v for i, values in moments.items() for k, v in values.items()}
        return named | {f"precision/{k}": v for k, v in self.precision.tensors().items()}

    def digest(self) -> str:
        """Short hash of the tensors, to compare processes."""
        sums = torch.stack([value.detach().double().sum().cpu() for value in self.tensors().values()])
        return hashlib.sha256(sums.numpy().tobytes()).hexdigest()[:12]

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Restore the values of `tensors()`; learning rates stay those of the settings.

        Raises:
            RuntimeError: wrong names or shapes of weights.
            ValueError: wrong names or shapes of moments, or a tensor of another kind of number.
        """
        self._require_kinds_and_moments(tensors)
        for name, module in self._modules():
            module.load_state_dict(_below(name, tensors))
        for name, optimizer in self._optimizers():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in _below(name, tensors).items():
                index, _, kind = key.partition("/")
                moments.setdefault(int(index), {})[kind] = value
            optimizer.load_state_dict(
                {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
            )
        self.precision.load_tensors(_below("precision", tensors))

    def _require_kinds_and_moments(self, tensors: dict[str, Tensor]) -> None:
        """Check moments, which the optimiser would accept in any shape, and kinds of numbers."""
        current = self.tensors()
        for name, tensor in tensors.items():
            if tensor.is_floating_point() != (name not in current or current[name].is_floating_point()):
                raise ValueError(f"{name} holds {tensor.dtype}")
        for name, optimizer in self._optimizers():
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            shapes = {f"{i}/{kind}": w.shape for i, w in enumerate(weights) for kind in MOMENTS}
            shapes |= {f"{i}/step": torch.Size() for i in range(len(weights))}
            for key, value in _below(name, tensors).items():
                if shapes.get(key) != value.shape:
                    raise ValueError(f"{name}/{key} has shape {tuple(value.shape)}")

    def _modules(self) -> list[tuple[str, nn.Module]]:
        averages = [(f"ema{i}", ema) for i, ema in enumerate(self.emas)]
        return [("generator", self.generator), ("discriminator", self.discriminator), *averages]

    def _optimizers(self) -> list[tuple[str, Adam]]:
        return [
            ("generator_optimizer", self.generator_optimizer),
            ("discriminator_optimizer", self.discriminator_optimizer),
        ]


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(f"{prefix}/"): v for k, v in tensors.items() if k.startswith(f"{prefix}/")}
