"""Trains the causal VAE on rendered clips and writes weights/vae."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.vae.causal_vae import CausalVAE, CausalVAEConfig
from train.device import device
from train.loop import Metrics, Plan, Trainer, step_generator
from train.pair import random_pair, random_pair_clip
from train.precision import autocast
from train.ranks import rank
from train.world import Clip, random_clip, random_face, random_scene, render

SIDE, NUM_FRAMES = 128, 33
CROP_SIDE, CROP_FRAMES = 64, 13
KL_WEIGHT = 3e-3
DECODER_NOISE = 0.05
"""Of a latent's spread: so much is wrong at least in what the DiT makes."""
DECODER_PLAN = partial(
    Plan, muon_lr=0.01, adamw_lr=0.001, decay_share=1.0, ema_decay=0.99, save_every=100
)


def train(weights: Path, state_path: Path, *, num_steps: int, seed: int = 0) -> None:
    """Train for `num_steps` in all and write the VAE with its latents' statistics."""
    torch.manual_seed(seed)
    unit = (0.0,) * CausalVAEConfig.latent_channels, (1.0,) * CausalVAEConfig.latent_channels
    vae = CausalVAE(CausalVAEConfig(latents_mean=unit[0], latents_std=unit[1])).to(device())
    trainer = Trainer(vae, state_path, Plan(num_steps))
    trainer.resume()
    encoder, decoder = (torch.compile(part, dynamic=False) for part in (vae.encoder, vae.decoder))

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        video = _batch_of_step(seed, step)
        with autocast():
            mean, log_variance = encoder(video)
            latents = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
            reconstruction = decoder(latents).float()
        loss, metrics = _loss(reconstruction - video)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
        return loss + KL_WEIGHT * kl, {**metrics, "kl": float(kl)}

    trainer.run(loss_of_step, after_save=lambda: save(vae, weights))
    tqdm.write(f"{psnr_of_whole_clips(vae.eval(), 12):.1f} dB on whole clips")


def train_decoder(weights: Path, state_path: Path, *, num_steps: int, seed: int = 1) -> None:
    """Train the decoder on; the encoder stays, so that latents made with it stay true."""
    torch.manual_seed(seed)
    vae = ToyboxFamily(weights).load_vae(device()).train()
    vae.decoder.requires_grad_(requires_grad=True)
    std = torch.tensor(vae.config.latents_std, device=device())[:, None, None, None]
    trainer = Trainer(vae.decoder, state_path, DECODER_PLAN(num_steps))
    trainer.resume()
    encoder, decoder = (torch.compile(part, dynamic=False) for part in (vae.encoder, vae.decoder))

    def loss_of_step(step: int) -> tuple[Tensor, Metrics]:
        video = _batch_of_step(seed, step)
        with autocast():
            with torch.no_grad():
                mean, _ = encoder(video)
            noise = DECODER_NOISE * std * torch.randn_like(mean)
            return _loss(decoder(mean + noise).float() - video)

    def after_save() -> None:
        whole = CausalVAE(vae.config)
        whole.load_state_dict(vae.state_dict())
        whole.decoder.load_state_dict(trainer.averaged.module.state_dict())
        save_part(whole, whole.config, weights / "vae")

    trainer.run(loss_of_step, after_save)
    if rank() == 0:
        trained = ToyboxFamily(weights).load_vae(device())
        tqdm.write(f"{psnr_of_whole_clips(trained, 12):.1f} dB on whole clips")


def save(vae: CausalVAE, weights: Path) -> None:
    """Write the weights folder's vae/, with the statistics of its latents."""
    vae.eval()
    mean, std = _latent_statistics(vae)
    vae.train()
    save_part(vae, replace(vae.config, latents_mean=mean, latents_std=std), weights / "vae")


def _loss(error: Tensor) -> tuple[Tensor, Metrics]:
    loss = error.abs().mean() + error.square().mean() + 0.5 * _gradient_error(error)
    psnr = -10 * torch.log10(error.detach().square().mean() / 4)
    return loss, {"psnr": float(psnr)}


def _batch_of_step(seed: int, step: int) -> Tensor:
    generator = step_generator(seed, step)
    return _batch(generator, is_whole=step % 4 == 3).to(device())


def _batch(generator: torch.Generator, *, is_whole: bool) -> Tensor:
    """Four whole clips, or twelve crops in space and time around the shape."""
    if is_whole:
        return render([_clip(generator) for _ in range(4)], SIDE)
    return torch.cat([_crop(_clip(generator), generator) for _ in range(12)])


def _clip(generator: torch.Generator) -> Clip:
    """One of the world's: half of them one shape, the others as often a face as two shapes."""
    draw = float(torch.rand((), generator=generator))
    if draw < 0.25:
        return random_clip(random_face(generator), NUM_FRAMES, generator)
    if draw < 0.5:
        return random_pair_clip(random_pair(generator), NUM_FRAMES, generator)
    return random_clip(random_scene(generator, held_out=None), NUM_FRAMES, generator)


def _crop(clip: Clip, generator: torch.Generator) -> Tensor:
    start = int(torch.randint(NUM_FRAMES - CROP_FRAMES + 1, (), generator=generator))
    clip = clip.part(start, start + CROP_FRAMES)
    focus = clip.centres[CROP_FRAMES // 2] * SIDE - CROP_SIDE / 2
    shift = (torch.rand(2, generator=generator) - 0.5) * CROP_SIDE
    left, top = (focus + shift).round().clamp(0, SIDE - CROP_SIDE).int().tolist()
    return render([clip], SIDE, (top, left, CROP_SIDE, CROP_SIDE))


def _gradient_error(error: Tensor) -> Tensor:
    """Mean absolute difference between neighbours' errors: what blurs an edge."""
    return error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


@torch.no_grad()
def _latent_statistics(vae: CausalVAE) -> tuple[tuple[float, ...], tuple[float, ...]]:
    generator = torch.Generator().manual_seed(1)
    clips = [_clip(generator) for _ in range(32)]
    latents = torch.cat([vae.encoder(render([clip], SIDE).to(device()))[0] for clip in clips])
    mean = latents.mean((0, 2, 3, 4))
    # Nearly empty channels keep a floor, or normalising would blow their noise up.
    std = latents.std((0, 2, 3, 4)).clamp_min(0.05)
    return tuple(mean.tolist()), tuple(std.tolist())


def psnr_of_whole_clips(vae: CausalVAE, num_clips: int, seed: int = 7) -> float:
    """Reconstruction quality in dB on clips it has not seen."""
    generator = torch.Generator().manual_seed(seed)
    errors = []
    with torch.no_grad():
        for _ in range(num_clips):
            video = render([_clip(generator)], SIDE).to(device())
            latents = vae.normalise(vae.encoder(video)[0])
            errors.append((vae.decode(latents) - video).square().mean())
    return float(-10 * torch.log10(torch.stack(errors).mean() / 4))
