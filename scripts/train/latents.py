"""Renders clips and encodes them once, so that the DiT trains on latents alone."""

from dataclasses import astuple, replace
from pathlib import Path

import torch
from torch import Tensor
from tqdm import trange

from telecine.engine.families import load_family
from train.loop import save_whole
from train.precision import autocast
from train.vae import NUM_FRAMES, SIDE
from train.world import SHAPES, Clip, Scene, random_clip, random_scene, render

PATHS = 128
"""Paths of a shard; each is taken by every shape that may be trained on it."""


def write_shards(weights: Path, folder: Path, num_shards: int) -> None:
    """Write shards that are not there yet; a shard's number is its seed."""
    vae = load_family(str(weights)).load_vae(torch.device("cpu"))
    folder.mkdir(parents=True, exist_ok=True)
    for shard in trange(num_shards, mininterval=10):
        path = folder / f"{shard:04d}.pt"
        if path.exists():
            continue
        paths = paths_of_shard(shard)
        clips = [clip for group in paths for clip in group]
        contents = {
            "latents": torch.cat([_encode(vae, clip) for clip in clips]),
            "scenes": [astuple(clip.scene) for clip in clips],
            "path_sizes": [len(group) for group in paths],
        }
        save_whole(contents, path)


def paths_of_shard(shard: int) -> list[list[Clip]]:
    """The clips of a shard; those that follow one path differ in their shape alone."""
    generator = torch.Generator().manual_seed(1_000_000 + shard)
    paths = []
    for _ in range(PATHS):
        clip = random_clip(random_scene(generator), NUM_FRAMES, generator)
        scenes = [replace(clip.scene, shape=shape) for shape in SHAPES]
        paths.append([replace(clip, scene=scene) for scene in scenes if not scene.is_held_out])
    return paths


class LatentClips:
    """The shards written so far; `refresh` reads those that came since."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._num_shards = 0
        self.latents = torch.empty(0, dtype=torch.float16)
        """[N, C, T, H, W]"""
        self.scenes: list[Scene] = []
        self.paths: list[range] = []
        """Which clips follow one path."""

    def refresh(self) -> None:
        """Read new shards."""
        new = sorted(self._folder.glob("*.pt"))[self._num_shards :]
        self._num_shards += len(new)
        for path in new:
            shard = torch.load(path, weights_only=True)
            latents: Tensor = shard["latents"]
            self.latents = torch.cat((self.latents.reshape(-1, *latents.shape[1:]), latents))
            self.scenes += [Scene(*names) for names in shard["scenes"]]
            for size in shard["path_sizes"]:
                start = self.paths[-1].stop if self.paths else 0
                self.paths.append(range(start, start + size))


@torch.no_grad()
def _encode(vae: torch.nn.Module, clip: Clip) -> Tensor:
    with autocast():
        mean, _ = vae.encoder(render([clip], SIDE))
    return vae.normalise(mean.float()).half()
