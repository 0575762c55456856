"""The audio VAE hears the past only, and streams without changing a bit."""

import pytest
import torch
from torch import Tensor

from telecine.engine.audio.audio_vae import AudioVAE, AudioVAEConfig
from telecine.engine.vae.layers import FeatCache


@pytest.fixture(scope="module")
def audio_vae() -> AudioVAE:
    """The sizes that are shipped, with random weights whose every block does something."""
    torch.manual_seed(0)
    channels = AudioVAEConfig.latent_channels
    config = AudioVAEConfig(latents_mean=(0.1,) * channels, latents_std=(1.5,) * channels)
    model = AudioVAE(config)
    for name, parameter in model.named_parameters():
        if name.endswith("out.weight"):
            torch.nn.init.normal_(parameter, std=0.05)
    return model.eval().requires_grad_(requires_grad=False)


def _latents(num_latents: int, batch_size: int = 1) -> Tensor:
    return torch.randn(batch_size, AudioVAEConfig.latent_channels, num_latents)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 25])
@pytest.mark.parametrize("batch_size", [1, 2])
def test_chunks_equal_the_whole_bit_for_bit(
    audio_vae: AudioVAE, chunk: int, batch_size: int
) -> None:
    latents = _latents(52, batch_size)
    feat_cache = FeatCache()
    parts = [
        piece
        for latent_chunk in latents.split(chunk, 2)
        for piece in audio_vae.decode_chunks(latent_chunk, feat_cache)
    ]
    assert torch.equal(torch.cat(parts, 2), audio_vae.decode(latents))


def test_chunks_last_at_most_a_second(audio_vae: AudioVAE) -> None:
    chunks = list(audio_vae.decode_chunks(_latents(52)))
    assert [chunk.shape for chunk in chunks] == [(1, 1, n) for n in (16_000, 16_000, 1_280)]


def test_no_sample_depends_on_a_later_latent(audio_vae: AudioVAE) -> None:
    latents = _latents(6)
    changed = latents.clone()
    changed[:, :, 3:] += 1.0
    sound, other_sound = audio_vae.decode(latents), audio_vae.decode(changed)
    assert torch.equal(sound[..., :1920], other_sound[..., :1920])
    assert not torch.equal(sound[..., 1920:], other_sound[..., 1920:])


def test_no_latent_depends_on_a_later_sample(audio_vae: AudioVAE) -> None:
    waveform = torch.rand(1, 1, 6 * 640) - 0.5
    changed = waveform.clone()
    changed[..., 3 * 640 :] *= 0.5
    latents, other_latents = audio_vae.encode(waveform), audio_vae.encode(changed)
    assert torch.equal(latents[:, :, :3], other_latents[:, :, :3])
    assert not torch.equal(latents[:, :, 3:], other_latents[:, :, 3:])


def test_a_begun_latent_is_filled_up_with_silence(audio_vae: AudioVAE) -> None:
    waveform = torch.rand(1, 1, 700) - 0.5
    padded = torch.nn.functional.pad(waveform, (0, 580))
    assert audio_vae.encode(waveform).shape == (1, AudioVAEConfig.latent_channels, 2)
    assert torch.equal(audio_vae.encode(waveform), audio_vae.encode(padded))


def test_another_process_goes_on_with_the_sound(audio_vae: AudioVAE) -> None:
    latents = _latents(9)
    feat_cache = FeatCache()
    first = list(audio_vae.decode_chunks(latents[:, :, :4], feat_cache))
    stored = FeatCache.from_bytes(feat_cache.to_bytes(), torch.device("cpu"))
    rest = list(audio_vae.decode_chunks(latents[:, :, 4:], stored))
    assert torch.equal(torch.cat(first + rest, 2), audio_vae.decode(latents))


def test_denormalise_undoes_normalise(audio_vae: AudioVAE) -> None:
    latents = _latents(3)
    torch.testing.assert_close(audio_vae.denormalise(audio_vae.normalise(latents)), latents)


def test_a_second_is_twenty_five_latents(audio_vae: AudioVAE) -> None:
    assert audio_vae.sample_rate / audio_vae.config.latent_samples == 25
