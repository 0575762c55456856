"""Training stops and goes on as if it had not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from train.loop import Metrics, Plan, Trainer, step_generator


def _train(path: Path, num_steps: int, *, stop_after: int | None = None) -> dict[str, Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    trainer = Trainer(module, path, Plan(num_steps, ema_decay=0.9, save_every=5))
    trainer.resume()

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        if step == stop_after:
            raise KeyboardInterrupt
        inputs = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        loss = (module(inputs) - inputs.sum(1, keepdim=True)).square().mean()
        return loss, {"loss": loss.item()}

    trainer.run(loss_of_step, after_save=lambda: None)
    return trainer.averaged.module.state_dict()


def test_resumed_training_gives_the_same_weights(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole.pt", 20)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "cut.pt", 20, stop_after=12)
    resumed = _train(tmp_path / "cut.pt", 20)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_rate_falls_to_zero_at_the_end(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    trainer = Trainer(module, tmp_path / "state.pt", Plan(10, decay_share=0.5))
    rates = [trainer.schedulers[0].lr_lambdas[0](step) for step in range(11)]
    assert rates[:6] == [1.0] * 6
    assert rates[10] == 0.0
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_runs_of_other_seeds_and_other_steps_draw_otherwise() -> None:
    draws = {
        float(torch.rand((), generator=step_generator(seed, step)))
        for seed in range(4)
        for step in range(100)
    }
    assert len(draws) == 400


def test_run_goes_on_by_the_plan_that_it_began_with(tmp_path: Path) -> None:
    module = nn.Linear(2, 2)
    Trainer(module, tmp_path / "state.pt", Plan(10, muon_lr=0.02, decay_share=0.5)).save()
    later = Trainer(module, tmp_path / "state.pt", Plan(20, muon_lr=0.01, decay_share=1.0))
    later.resume()
    assert later.plan == Plan(20, muon_lr=0.02, decay_share=0.5)
    assert later.optimizers[0].param_groups[0]["lr"] == 0.02
