"""What all training runs share: optimisers, decay, progress bar, stopping and resuming."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from train.device import device
from train.ranks import average_gradients, num_ranks, rank, shared_optimizer, state_of

Metrics = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    The rates are constant, then fall linearly to zero over the last `decay_share`.
    """

    num_steps: int
    muon_lr: float = 0.02
    adamw_lr: float = 0.002
    decay_share: float = 0.7
    ema_decay: float = 0.0
    save_every: int = 250


def step_generator(seed: int, step: int) -> torch.Generator:
    """What this rank's step is drawn from; of its seed a generator on the CPU reads 32 bits."""
    draw = step * num_ranks() + rank()
    return torch.Generator().manual_seed((1_000_003 * seed + draw) % 2**32)


class Trainer:
    """Trains a module with Muon for its matrices and AdamW for the rest.

    Muon (Jordan et al. 2024) reached 6 dB more than AdamW alone in the same time on
    the VAE. `averaged` holds the moving average of the weights. The state is saved now and
    then; a run that finds one goes on from it.
    """

    def __init__(
        self,
        module: nn.Module,
        state_path: Path,
        plan: Plan,
    ) -> None:
        self.module, self.state_path = module, state_path
        self.step = 0
        self._prepare(plan)

    def _prepare(self, plan: Plan) -> None:
        module, self.plan = self.module, plan
        self.averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(plan.ema_decay))
        matrices = [p for name, p in module.named_parameters() if _is_matrix(name, p)]
        others = [p for name, p in module.named_parameters() if not _is_matrix(name, p)]
        self.optimizers: list[torch.optim.Optimizer] = [
            shared_optimizer(
                torch.optim.Muon, matrices, lr=plan.muon_lr, weight_decay=0.01, momentum=0.95
            )
        ]
        if others:
            self.optimizers.append(
                torch.optim.AdamW(others, lr=plan.adamw_lr, betas=(0.9, 0.95), weight_decay=0.0)
            )
        self.schedulers = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, _decay(plan))
            for optimizer in self.optimizers
        ]

    def resume(self) -> None:
        """Go on from the saved state, if there is one, by the plan that it began with.

        How many steps there are in all may be another number now.
        """
        if self.state_path.exists():
            state = torch.load(self.state_path, map_location=device(), weights_only=True)
            self._prepare(replace(Plan(**state["plan"]), num_steps=self.plan.num_steps))
            self.load_state_dict(state)

    def state_dict(self) -> dict[str, object]:
        """All that a run needs to go on."""
        return {
            "step": self.step,
            "plan": asdict(self.plan),
            "module": self.module.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [state_of(optimizer) for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Undo `state_dict`."""
        self.step = int(state["step"])
        self.module.load_state_dict(state["module"])
        self.averaged.load_state_dict(state["averaged"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)

    def run(
        self,
        loss_of_step: Callable[[int], tuple[Tensor, Metrics]],
        after_save: Callable[[], None],
    ) -> None:
        """Train to the last step; `loss_of_step` draws a batch and returns its loss.

        `after_save` is called on rank 0 alone.
        """
        progress = tqdm(
            initial=self.step,
            total=self.plan.num_steps,
            mininterval=5,
            smoothing=0.02,
            disable=rank() > 0,
        )
        averages: Metrics = {}
        for step in range(self.step, self.plan.num_steps):
            loss, metrics = loss_of_step(step)
            loss.backward()
            average_gradients(self.module.parameters())
            nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
            for optimizer, scheduler in zip(self.optimizers, self.schedulers, strict=True):
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                scheduler.step()
            self.averaged.update_parameters(self.module)
            for name, value in metrics.items():
                averages[name] = 0.98 * averages.get(name, value) + 0.02 * value
            progress.set_postfix({k: f"{v:.4f}" for k, v in averages.items()}, refresh=False)
            progress.update()
            self.step = step + 1
            if self.step % self.plan.save_every == 0 or self.step == self.plan.num_steps:
                self.save()
                if rank() == 0:
                    after_save()

    def save(self) -> None:
        """Write the state beside the old one and swap them; every rank has to call it."""
        state = self.state_dict()
        if rank() == 0:
            self.state_path.parent.mkdir(parents=True, exist_ok=True)
            save_whole(state, self.state_path)


def save_whole(contents: dict[str, object], path: Path) -> None:
    """Write a file beside the old one and swap them: whoever reads finds a whole one."""
    fresh = path.with_suffix(".new")
    torch.save(contents, fresh)
    fresh.replace(path)


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    is_table = "embed" in name or "relative_attention_bias" in name or "shared" in name
    return parameter.ndim == 2 and not is_table


def _decay(plan: Plan) -> Callable[[int], float]:
    falling = plan.num_steps * plan.decay_share
    return lambda step: min(1.0, max(0.0, (plan.num_steps - step) / falling))
