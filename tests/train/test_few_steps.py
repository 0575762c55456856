"""What is trained for few steps is what the engine then loads as an adapter."""

from pathlib import Path

import torch
from tests.fixtures.random_family import DIT
from torch import Tensor, nn

from telecine.engine.adapters.lora import applied, fit_lora
from telecine.engine.adapters.lora_file import read_lora
from telecine.engine.denoise import SamplingConfig
from telecine.engine.dit.model import DiT
from train.few_steps import NUM_STEPS, STEPS_OF_TEACHER, Additions, walk

CPU = torch.device("cpu")


def _predicted(dit: DiT) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, DIT.in_channels, 2, 4, 4, generator=generator)
    embeds = torch.randn(1, 5, DIT.prompt_width, generator=generator)
    pooled = torch.randn(1, DIT.pooled_width, generator=generator)
    mask = torch.ones(1, 5, dtype=torch.bool)
    predicted: Tensor = dit(latents, torch.tensor([0.5]), embeds, pooled, attention_mask=mask)
    return predicted


@torch.no_grad()
def test_adapter_that_is_written_acts_as_it_was_trained(tmp_path: Path) -> None:
    torch.manual_seed(0)
    dit = DiT(DIT)
    for parameter in dit.parameters():
        nn.init.normal_(parameter, std=0.1)
    additions = Additions(dit)
    for parameter in additions.parameters():
        parameter.copy_((0.1 * torch.randn(parameter.shape)).bfloat16())
    with applied({"transformer": dit}, [(additions.lora(), 1.0)]):
        in_training = _predicted(dit)
    additions.save(tmp_path / "fast.safetensors")
    read = fit_lora(read_lora(tmp_path / "fast.safetensors"), {"transformer": dit}, CPU)
    with applied({"transformer": dit}, [(read, 1.0)]):
        served = _predicted(dit)
    torch.testing.assert_close(in_training, served)
    assert not torch.allclose(served, _predicted(dit))


@torch.no_grad()
def test_untrained_adapter_changes_nothing() -> None:
    torch.manual_seed(0)
    dit = DiT(DIT)
    bare = _predicted(dit)
    with applied({"transformer": dit}, [(Additions(dit).lora(), 1.0)]):
        assert torch.equal(_predicted(dit), bare)


class _TowardsTheCaption(nn.Module):
    """Velocity one for what is asked for, none for what is not."""

    def forward(
        self, latents: Tensor, _: Tensor, embeds: Tensor, __: Tensor, *, attention_mask: Tensor
    ) -> Tensor:
        assert len(latents) == len(embeds) == len(attention_mask)
        return torch.ones_like(latents) * embeds.mean((1, 2))[:, None, None, None, None]


def test_walk_is_guided_and_keeps_the_points_that_few_steps_touch() -> None:
    steps = NUM_STEPS * STEPS_OF_TEACHER
    sigmas = tuple(1.0 - step / steps for step in range(steps + 1))
    noise = torch.randn(2, 3, 2, 4, 4)
    config = SamplingConfig(
        seed=0,
        num_inference_steps=steps,
        guidance_scale=4.0,
        sampler="euler",
        sigmas=sigmas,
        latents_shape=(1, 3, 2, 4, 4),
        fps=16,
        guidance_floor=0.7,
    )
    scales = [4.0 if sigma >= 0.7 else 1.0 for sigma in sigmas[:-1]]
    embeds = torch.cat((torch.zeros(2, 5, 8), torch.ones(2, 5, 8)))
    prompts = embeds, torch.zeros(4, 8), torch.ones(4, 5)
    points = walk(_TowardsTheCaption(), config, noise, prompts)
    assert points.shape == (2, NUM_STEPS + 1, 3, 2, 4, 4)
    for index in range(NUM_STEPS + 1):
        expected = noise - sum(scales[: index * STEPS_OF_TEACHER]) / steps
        torch.testing.assert_close(points[:, index], expected, rtol=0, atol=1e-5)
