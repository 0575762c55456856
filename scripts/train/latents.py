"""Renders clips and encodes them once, so that the DiT trains on latents alone."""

from dataclasses import astuple
from pathlib import Path

import torch
from telecine.engine.families import load_family
from torch import Tensor
from tqdm import trange

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
        generator = torch.Generator().manual_seed(1_000_000 + shard)
        scenes = [random_scene(generator) for _ in range(SHARD)]
        latents = torch.cat([_encode(vae, scene, generator) for scene in scenes])
        fresh = path.with_suffix(".new")
        torch.save({"latents": latents, "scenes": [astuple(scene) for scene in scenes]}, fresh)
        fresh.replace(path)


def read_shards(folder: Path) -> tuple[Tensor, list[Scene]]:
    """All shards written so far: latents [N, C, T, H, W] in float16, and their scenes."""
    shards = [torch.load(path, weights_only=True) for path in sorted(folder.glob("*.pt"))]
    scenes = [Scene(*names) for shard in shards for names in shard["scenes"]]
    return torch.cat([shard["latents"] for shard in shards]), scenes


@torch.no_grad()
def _encode(vae: torch.nn.Module, scene: Scene, generator: torch.Generator) -> Tensor:
    video = render([random_clip(scene, NUM_FRAMES, generator)], SIDE)
    with torch.autocast("cpu", torch.bfloat16):
        mean, _ = vae.encoder(video)
    return vae.normalise(mean.float()).half()
