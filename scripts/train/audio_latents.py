"""The sounds of the clips whose latents are written already, encoded once."""

import math
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from telecine.engine.audio.audio_vae import AudioVAE
from telecine.engine.families.toybox import ToyboxFamily
from train.device import device
from train.latents import LatentClips, paths_of_shard
from train.loop import save_whole
from train.ranks import num_ranks, rank
from train.world import Clip
from train.world_sound import num_samples_of, render_sound

FPS = (16, 24)
"""Every clip is heard at each: the same picture, faster and slower."""
_BATCH = 32


def write_audio_shards(weights: Path, latents_folder: Path, folder: Path) -> None:
    """Write the sounds of every shard of latents that has none yet, each rank its own."""
    vae = ToyboxFamily(weights).load_audio_vae(device())
    folder.mkdir(parents=True, exist_ok=True)
    for latents_path in tqdm(sorted(latents_folder.glob("*.pt"))[rank() :: num_ranks()]):
        path = folder / latents_path.name
        if path.exists():
            continue
        clips = [one.clip for path in paths_of_shard(int(latents_path.stem)) for one in path]
        save_whole({str(fps): _encode(vae, clips, fps) for fps in FPS}, path)


class AudioClips:
    """The sounds of clips whose latents are read, in their order.

    Raises:
        FileNotFoundError: a shard of latents has no sounds yet.
    """

    def __init__(self, folder: Path, clips: LatentClips) -> None:
        shards = [torch.load(folder / name, weights_only=True) for name in clips.shards]
        self.latents: dict[int, Tensor] = {
            fps: torch.cat([shard[str(fps)] for shard in shards]) for fps in FPS
        }
        """By frames a second: [N, C, A]"""


@torch.no_grad()
def _encode(vae: AudioVAE, clips: list[Clip], fps: int) -> Tensor:
    # What lies behind the clip's end in its last latent goes on: silence there would be learnt.
    latent_samples = vae.config.latent_samples
    num_latents = math.ceil(num_samples_of(len(clips[0].radii), fps) / latent_samples)
    sounds = [render_sound(clip, fps, num_latents * latent_samples) for clip in clips]
    waveforms = torch.stack(sounds)[:, None].to(device())
    return torch.cat([vae.encode(batch) for batch in waveforms.split(_BATCH)]).half().cpu()
