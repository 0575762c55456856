"""The shipped audio VAE gives the world's sounds back; its decoder trains on alone."""

import shutil
from pathlib import Path

import pytest
import torch

from telecine.engine.audio.audio_vae import AudioVAE
from telecine.engine.families import BUILT_IN_WEIGHTS
from telecine.engine.families.toybox import ToyboxFamily
from train import audio_vae
from train.sound_judge import hear
from train.world import SHAPES, Scene, random_clip
from train.world_sound import render_sound, sound_events

WEIGHTS = BUILT_IN_WEIGHTS / "toybox"


def load(weights: Path) -> AudioVAE:
    return ToyboxFamily(weights).load_audio_vae(torch.device("cpu"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("motion", "least"), [("bounce", 18.0), ("orbit", 28.0)])
def test_shipped_weights_give_back_timbre_and_moment(shape: str, motion: str, least: float) -> None:
    scene = Scene("red", shape, motion, "white")
    clip = random_clip(scene, 33, torch.Generator().manual_seed(123))
    sound = render_sound(clip, 16, 52 * 640)[None, None]
    vae = load(WEIGHTS)
    again = vae.decode(vae.encode(sound))
    assert float(audio_vae.si_sdr(again, sound)) > least
    heard = hear(again[0, 0].numpy())
    assert heard.timbre == shape
    assert heard.onsets == pytest.approx(sound_events(clip, 16), abs=0.01)


def test_silence_comes_back_as_silence() -> None:
    vae = load(WEIGHTS)
    assert hear(vae.decode(vae.encode(torch.zeros(1, 1, 16_000)))[0, 0].numpy()).is_silent


def test_training_the_decoder_leaves_every_latent_as_it_was(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS / "audio_vae", tmp_path / "audio_vae")
    shutil.copy(WEIGHTS / "model_index.json", tmp_path)
    before = load(tmp_path)
    audio_vae.train_decoder(tmp_path, tmp_path / "state.pt", num_steps=1)
    after = load(tmp_path)
    sound = audio_vae.random_sounds(1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(before.encode(sound), after.encode(sound))
    decoders = (before.decoder.state_dict(), after.decoder.state_dict())
    assert any(not torch.equal(decoders[0][name], decoders[1][name]) for name in decoders[0])


def test_si_sdr_does_not_hear_loudness() -> None:
    truth = audio_vae.random_sounds(2, torch.Generator().manual_seed(0))
    noisy = truth + 0.1 * truth.std() * torch.randn(truth.shape)
    assert float(audio_vae.si_sdr(0.3 * noisy, truth)) == pytest.approx(
        float(audio_vae.si_sdr(noisy, truth)), abs=1e-3
    )
