"""Trains the audio VAE on rendered sounds and writes weights/audio_vae."""

import dataclasses
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from telecine.engine.audio.audio_vae import AudioVAE, AudioVAEConfig
from telecine.engine.families.toybox import ToyboxFamily, save_part
from train.device import device
from train.loop import Metrics, Plan, Trainer, step_generator
from train.precision import autocast
from train.world import random_clip, random_face, random_scene
from train.world_sound import NOTE_SAMPLES, render_sound

BATCH_SIZE = 8
NUM_LATENTS = 52
KL_WEIGHT = 4e-3
DECODER_NOISE = 0.1
"""Of latents of variance one: what comes out of a denoiser is no better."""
FACES_SHARE, BOUNCES_SHARE = 0.3, 0.3
_FRAME_RATES = ((33, 16), (49, 24))
_WINDOWS = (128, 512, 2048)
_QUIETEST = 1e-3
"""Amplitude below which a logarithm of loudness no longer falls: -60 dB."""


def train(weights: Path, state_path: Path, *, num_steps: int, seed: int = 0) -> None:
    """Train for `num_steps` in all and write the VAE with its latents' statistics."""
    torch.manual_seed(seed)
    channels = AudioVAEConfig.latent_channels
    vae = AudioVAE(AudioVAEConfig(latents_mean=(0.0,) * channels, latents_std=(1.0,) * channels))
    vae.to(device())
    trainer = Trainer(vae, state_path, Plan(num_steps, ema_decay=0.99))
    trainer.resume()

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        sound = random_sounds(BATCH_SIZE, step_generator(seed, step)).to(device())
        with autocast():
            mean, log_variance = vae.encoder(sound)
            latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            heard = vae.decoder(latents).float()
        loss, metrics = _loss(heard, sound)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        return loss + KL_WEIGHT * kl, {**metrics, "kl": float(kl.detach())}

    averaged: AudioVAE = trainer.averaged.module
    trainer.run(loss_of_step, after_save=lambda: save(averaged, weights))
    tqdm.write(str(quality(averaged.eval(), 64)))


def train_decoder(weights: Path, state_path: Path, *, num_steps: int, seed: int = 1) -> None:
    """Train the decoder on; the encoder stays, so that latents made with it stay true."""
    torch.manual_seed(seed)
    vae = ToyboxFamily(weights).load_audio_vae(device()).train()
    vae.decoder.requires_grad_(requires_grad=True)
    trainer = Trainer(vae.decoder, state_path, Plan(num_steps, decay_share=1.0, ema_decay=0.99))
    trainer.resume()

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        sound = random_sounds(BATCH_SIZE, step_generator(seed, step)).to(device())
        with autocast():
            with torch.no_grad():
                latents = vae.encode(sound)
            noise = DECODER_NOISE * torch.randn_like(latents)
            heard = vae.decode(latents + noise).float()
        return _loss(heard, sound)

    whole = AudioVAE(vae.config).to(device())
    whole.encoder, whole.decoder = vae.encoder, trainer.averaged.module
    trainer.run(
        loss_of_step, after_save=lambda: save_part(whole, vae.config, weights / "audio_vae")
    )
    tqdm.write(str(quality(whole.eval(), 64)))


def _loss(heard: Tensor, sound: Tensor) -> tuple[Tensor, Metrics]:
    """Errors of the waveform, as parts of the clip's own loudness, and of its spectra."""
    error = (heard - sound) / (sound.square().mean(2, keepdim=True).sqrt() + 0.02)
    spectral = multi_resolution_error(heard, sound)
    loss = 2 * error.abs().mean() + error.square().mean() + spectral
    return loss, {
        "si_sdr": float(si_sdr(heard.detach(), sound)),
        "stft": float(spectral.detach()),
    }


def save(vae: AudioVAE, weights: Path) -> None:
    """Write the weights folder's audio_vae/, with the statistics of its latents."""
    mean, std = _latent_statistics(vae)
    config = dataclasses.replace(vae.config, latents_mean=mean, latents_std=std)
    save_part(vae, config, weights / "audio_vae")


def random_sounds(count: int, generator: torch.Generator) -> Tensor:
    """Sounds of clips of any scene: [count, 1, samples]."""
    return torch.stack([_random_sound(generator) for _ in range(count)])[:, None]


def _random_sound(generator: torch.Generator) -> Tensor:
    num_frames, fps = _FRAME_RATES[int(torch.randint(2, (), generator=generator))]
    kind = float(torch.rand((), generator=generator))
    scene = random_scene(generator, held_out=None)
    if kind < FACES_SHARE:
        scene = random_face(generator)
    elif kind < FACES_SHARE + BOUNCES_SHARE:
        scene = dataclasses.replace(scene, motion="bounce")
    clip = random_clip(scene, num_frames, generator)
    return render_sound(clip, fps, NUM_LATENTS * NOTE_SAMPLES)


def multi_resolution_error(heard: Tensor, truth: Tensor) -> Tensor:
    """Mean difference of the magnitudes of spectra, plus that of their logarithms.

    Over windows of 8, 32 and 128 ms; a sine of amplitude a has magnitude a. Parallel
    WaveGAN (Yamamoto et al. 2020) has it first.
    """
    errors = []
    for window in _WINDOWS:
        heard_magnitude, truth_magnitude = (
            _magnitudes(sound.squeeze(1), window) for sound in (heard, truth)
        )
        difference = (heard_magnitude - truth_magnitude).abs().mean()
        logarithms = (heard_magnitude + _QUIETEST).log() - (truth_magnitude + _QUIETEST).log()
        errors.append(10 * difference + 0.2 * logarithms.abs().mean())
    return torch.stack(errors).mean()


def _magnitudes(sound: Tensor, window: int) -> Tensor:
    shape = torch.hann_window(window, device=sound.device)
    spectrum = torch.stft(sound, window, window // 4, window=shape, return_complex=True)
    return (spectrum.abs().square() + 1e-10).sqrt() * (2 / shape.sum())


def si_sdr(heard: Tensor, truth: Tensor) -> Tensor:
    """Scale-invariant signal to distortion in dB (Le Roux et al. 2019), the mean over a batch."""
    heard, truth = heard.flatten(1).double(), truth.flatten(1).double()
    share = (heard * truth).sum(1) / truth.square().sum(1).clamp_min(1e-9)
    target = share[:, None] * truth
    distortion = (heard - target).square().sum(1).clamp_min(1e-9)
    return (10 * torch.log10(target.square().sum(1).clamp_min(1e-9) / distortion)).mean()


@torch.no_grad()
def _latent_statistics(vae: AudioVAE) -> tuple[tuple[float, ...], tuple[float, ...]]:
    latents, _ = vae.encoder(random_sounds(64, torch.Generator().manual_seed(1)).to(device()))
    # Nearly empty channels keep a floor, or normalising would blow their noise up.
    return tuple(latents.mean((0, 2)).tolist()), tuple(latents.std((0, 2)).clamp_min(0.05).tolist())


@torch.no_grad()
def quality(vae: AudioVAE, num_clips: int, seed: int = 7) -> Metrics:
    """How the VAE gives back sounds it has not heard."""
    sound = random_sounds(num_clips, torch.Generator().manual_seed(seed)).to(device())
    heard = vae.decode(vae.encode(sound))
    return {
        "si_sdr": float(si_sdr(heard, sound)),
        "stft": float(multi_resolution_error(heard, sound)),
        "l1": float(functional.l1_loss(heard, sound)),
    }
