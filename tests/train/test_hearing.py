"""What learns to hear changes nothing of silent pictures and of sounds for finished ones."""

from dataclasses import replace

import torch
from tests.fixtures.random_family import DIT
from torch import Tensor, nn

from telecine.engine.audio.audio_stream import AudioStreamConfig
from telecine.engine.audio.joint import Picture, SoundOf, predict_jointly
from telecine.engine.dit.model import DiT, Prompt
from telecine.engine.latents import Latents
from train.hearing import Ears

FPS, NUM_SOUNDS = 16, 6


def network() -> DiT:
    torch.manual_seed(0)
    dit = DiT(replace(DIT, audio=AudioStreamConfig(width=64, num_heads=2)))
    for parameter in dit.parameters():
        nn.init.normal_(parameter, std=0.1)
    return dit.requires_grad_(requires_grad=False)


def predictions(dit: DiT) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    video = torch.randn(1, DIT.in_channels, 2, 4, 4, generator=generator)
    audio = torch.randn(1, AudioStreamConfig.in_channels, NUM_SOUNDS, generator=generator)
    prompt = Prompt(
        torch.randn(1, 5, DIT.prompt_width, generator=generator),
        torch.randn(1, DIT.pooled_width, generator=generator),
        torch.ones(1, 5, dtype=torch.bool),
    )
    sigma = torch.tensor([0.5])
    joint = predict_jointly(dit, Latents(video, audio), sigma, prompt, fps=FPS)
    sound_of_it = SoundOf(dit, Picture(video, sigma, FPS), prompt, num_latents=NUM_SOUNDS)
    silent = dit(video, sigma, *prompt[:2], attention_mask=prompt.attention_mask)
    return {"joint": joint.video, "post-sync": sound_of_it(audio, sigma), "silent": silent}


@torch.no_grad()
def test_only_what_a_picture_hears_depends_on_what_learns() -> None:
    dit = network()
    before = predictions(dit)
    for parameter in Ears(dit).parameters():
        parameter.mul_(1.5)
    after = predictions(dit)
    assert torch.equal(after["silent"], before["silent"])
    assert torch.equal(after["post-sync"], before["post-sync"])
    assert not torch.allclose(after["joint"], before["joint"])


def test_nothing_else_learns() -> None:
    dit = network()
    Ears(dit)
    learning = {name for name, parameter in dit.named_parameters() if parameter.requires_grad}
    assert learning
    assert all(".hearing" in name or ".audio_norm." in name for name in learning)
