"""Renders clips and encodes them once, so that the DiT trains on latents alone."""

from collections.abc import Mapping
from dataclasses import astuple, replace
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from tqdm import trange

from telecine.engine.families import load_family
from train.device import device
from train.face import FACE, VOWELS
from train.loop import save_whole
from train.pair import PairScene, random_pair, random_pair_clip
from train.precision import autocast
from train.ranks import num_ranks, rank
from train.vae import NUM_FRAMES, SIDE
from train.world import SHAPES, Clip, Scene, random_clip, random_face, random_scene, render

Kind = Literal["shape", "face", "pair"]
"""Of a path: one shape alone, a face, or two shapes."""
SHAPE_PATHS, FACE_PATHS, PAIR_PATHS = 96, 20, 28
"""Paths of a shard; each is taken by every shape, or vowel, that may be trained on it."""
LONG_NUM_FRAMES = 49
"""Of every third shard: the same two seconds at 24 frames a second."""


def write_shards(weights: Path, folder: Path, num_shards: int) -> None:
    """Write shards that are not there yet, each rank its own; a shard's number is its seed."""
    vae = load_family(str(weights)).load_vae(device())
    folder.mkdir(parents=True, exist_ok=True)
    for shard in trange(rank(), num_shards, num_ranks(), mininterval=10):
        path = folder / f"{shard:04d}.pt"
        if path.exists():
            continue
        paths = paths_of_shard(shard)
        shown = [one for group in paths for one in group]
        contents = {
            "latents": torch.cat([_encode(vae, clip) for _, clip in shown]),
            "scenes": [_names(scene) for scene, _ in shown],
            "path_sizes": [len(group) for group in paths],
        }
        save_whole(contents, path)


class Shown(NamedTuple):
    """What a caption is drawn from, and the clip that shows it."""

    scene: Scene | PairScene
    clip: Clip


def num_frames_of_shard(shard: int) -> int:
    """How long the clips of a shard are."""
    return LONG_NUM_FRAMES if shard % 3 == 2 else NUM_FRAMES


def paths_of_shard(shard: int) -> list[list[Shown]]:
    """The clips of a shard; those that follow one path differ in the shape, or vowel, alone."""
    generator = torch.Generator().manual_seed(1_000_000 + shard)
    num_frames = num_frames_of_shard(shard)
    paths = [_shapes_on_path(num_frames, generator) for _ in range(SHAPE_PATHS)]
    paths += [_vowels_of_face(num_frames, generator) for _ in range(FACE_PATHS)]
    paths += [_shapes_beside_another(num_frames, generator) for _ in range(PAIR_PATHS)]
    return [path for path in paths if path]


def _shapes_on_path(num_frames: int, generator: torch.Generator) -> list[Shown]:
    clip = random_clip(random_scene(generator), num_frames, generator)
    return [Shown(scene, replace(clip, scene=scene)) for scene in _trained_shapes(clip.scene)]


def _vowels_of_face(num_frames: int, generator: torch.Generator) -> list[Shown]:
    clip = random_clip(random_face(generator), num_frames, generator)
    scenes = [replace(clip.scene, motion=vowel) for vowel in VOWELS]
    return [Shown(scene, replace(clip, scene=scene)) for scene in scenes]


def _shapes_beside_another(num_frames: int, generator: torch.Generator) -> list[Shown]:
    pair = random_pair(generator)
    clip = random_pair_clip(pair, num_frames, generator)
    return [
        Shown(replace(pair, moving=scene), replace(clip, scene=scene))
        for scene in _trained_shapes(pair.moving)
    ]


def _trained_shapes(scene: Scene) -> list[Scene]:
    scenes = [replace(scene, shape=shape) for shape in SHAPES]
    return [scene for scene in scenes if not scene.is_held_out]


def _names(scene: Scene | PairScene) -> tuple[str, ...]:
    return astuple(scene.moving) + scene.beside if isinstance(scene, PairScene) else astuple(scene)


def _scene_named(names: tuple[str, ...]) -> Scene | PairScene:
    return PairScene(Scene(*names[:4]), *names[4:]) if len(names) > 4 else Scene(*names)


def _kind_of(scene: Scene | PairScene) -> Kind:
    if isinstance(scene, PairScene):
        return "pair"
    return "face" if scene.shape == FACE else "shape"


class LatentClips:
    """The clips of one length in the shards written so far; `refresh` reads new ones."""

    def __init__(self, folder: Path, num_frames: int = NUM_FRAMES) -> None:
        self._folder = folder
        self._num_frames = num_frames
        self.shards: list[str] = []
        """The files read so far, in their order here."""
        self.latents = torch.empty(0, dtype=torch.float16)
        """[N, C, T, H, W]"""
        self.scenes: list[Scene | PairScene] = []
        self.paths: dict[Kind, list[range]] = {"shape": [], "face": [], "pair": []}
        """Which clips follow one path."""

    def refresh(self) -> None:
        """Read new shards, which need not be written in their order."""
        for path in shards_of_length(self._folder, self._num_frames):
            if path.name in self.shards:
                continue
            self.shards.append(path.name)
            shard = torch.load(path, weights_only=True)
            latents: Tensor = shard["latents"]
            self.latents = torch.cat((self.latents.reshape(-1, *latents.shape[1:]), latents))
            start = len(self.scenes)
            self.scenes += [_scene_named(names) for names in shard["scenes"]]
            for size in shard["path_sizes"]:
                self.paths[_kind_of(self.scenes[start])].append(range(start, start + size))
                start += size

    def draw_path(self, shares: Mapping[Kind, float], generator: torch.Generator) -> range:
        """Draw the clips of a path: first its kind, of those that are there, then which."""
        there = [kind for kind in shares if self.paths[kind]]
        weights = torch.tensor([shares[kind] for kind in there])
        paths = self.paths[there[int(torch.multinomial(weights, 1, generator=generator))]]
        return paths[int(torch.randint(len(paths), (), generator=generator))]

    def draw_clip(self, shares: Mapping[Kind, float], generator: torch.Generator) -> int:
        """Draw one of the clips of a path."""
        path = self.draw_path(shares, generator)
        return path[int(torch.randint(len(path), (), generator=generator))]


def shards_of_length(folder: Path, num_frames: int) -> list[Path]:
    """The shards in a folder, of latents or of sounds, whose clips are so long."""
    return [
        path
        for path in sorted(folder.glob("*.pt"))
        if num_frames_of_shard(int(path.stem)) == num_frames
    ]


@torch.no_grad()
def _encode(vae: torch.nn.Module, clip: Clip) -> Tensor:
    with autocast():
        mean, _ = vae.encoder(render([clip], SIDE).to(device()))
    return vae.normalise(mean.float()).half().cpu()
