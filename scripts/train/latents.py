"""Renders clips and encodes them once, so that the DiT trains on latents alone."""

from dataclasses import astuple
from pathlib import Path

import torch
from torch import Tensor
from tqdm import trange

from telecine.engine.families import load_family
from train.precision import autocast
from train.vae import NUM_FRAMES, SIDE
from train.world import Scene, random_clip, random_scene, render

SHARD = 512


def write_shards(weights: Path, folder: Path, num_shards: int) -> None:
    """Write shards of 512 clips that are not there yet; a shard's number is its seed."""
    vae = load_family(str(weights)).load_vae(torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    for shard in trange(num_shards, mininterval=10):
        path = folder / f"{shard:04d}.pt"
        if path.exists():
            continue
        generator = shard_generator(shard)
        scenes = [random_scene(generator) for _ in range(SHARD)]
        latents = torch.cat([_encode(vae, scene, generator) for scene in scenes])
        fresh = path.with_suffix(".new")
        torch.save({"latents": latents, "scenes": [astuple(scene) for scene in scenes]}, fresh)
        fresh.replace(path)


def shard_generator(shard: int) -> torch.Generator:
    """What draws a shard: its scenes first, then their clips."""
    return torch.Generator().manual_seed(1_000_000 + shard)


class LatentClips:
    """The shards written so far; `refresh` reads those that came since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_shards = 0
        self.latents = torch.empty(0, dtype=torch.float16)
        """[N, C, T, H, W]"""
        self.scenes: list[Scene] = []

    def refresh(self) -> None:
        """Read new shards."""
        new = sorted(self._folder.glob("*.pt"))[self._num_shards :]
        self._num_shards += len(new)
        for path in new:
            shard = torch.load(path, weights_only=True)
            latents: Tensor = shard["latents"]
            self.latents = torch.cat((self.latents.reshape(-1, *latents.shape[1:]), latents))
            self.scenes += [Scene(*names) for names in shard["scenes"]]


@torch.no_grad()
def _encode(vae: torch.nn.Module, scene: Scene, generator: torch.Generator) -> Tensor:
    video = render([random_clip(scene, NUM_FRAMES, generator)], SIDE)
    with autocast():
        mean, _ = vae.encoder(video)
    return vae.normalise(mean.float()).half()
