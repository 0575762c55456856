"""Two shapes in one clip: one moves and sounds, beside it another stays still and silent."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from train.face import FACE
from train.world import COLOURS, SHAPES, Clip, Companion, Scene, random_clip, random_scene

_MOTIONS: dict[str, tuple[str, ...]] = {
    "left of": ("up", "down", "bounce", "grow", "shrink"),
    "right of": ("up", "down", "bounce", "grow", "shrink"),
    "above": ("left", "right", "grow", "shrink"),
    "below": ("left", "right", "grow", "shrink"),
    "bigger than": ("up", "down", "bounce"),
    "smaller than": ("up", "down", "bounce"),
}
"""What the moving one may do while the relation holds from the first frame to the last."""
RELATIONS = tuple(_MOTIONS)
_OPPOSITE = {"left of": "right of", "above": "below"}
_SIZES = {"bigger than": (1.0, 0.5), "smaller than": (0.5, 1.0)}
"""Shares of the size drawn: of the moving one, and of the still one."""
_NEAR, _FAR = 0.23, 0.74
"""Where the two stand across: that leaves a gap between them at their largest."""
_LARGEST = 0.17


@dataclass(frozen=True)
class PairScene:
    """The one that moves, and how it stands to the one that does not."""

    moving: Scene
    relation: str
    colour: str
    """Of the still one."""
    shape: str

    @property
    def beside(self) -> tuple[str, str, str]:
        """The relation, and the colour and the shape of the still one."""
        return self.relation, self.colour, self.shape


def moving_of(scene: Scene | PairScene) -> Scene:
    """What moves, alone or beside another."""
    return scene.moving if isinstance(scene, PairScene) else scene


def random_pair(generator: torch.Generator) -> PairScene:
    """Draw two shapes of different colours, and how they stand."""

    def choice(options: tuple[str, ...]) -> str:
        return options[int(torch.randint(len(options), (), generator=generator))]

    relation = choice(RELATIONS)
    moving = replace(random_scene(generator, held_out=None), motion=choice(_MOTIONS[relation]))
    colour = choice(tuple(name for name in COLOURS if name != moving.colour))
    return PairScene(moving, relation, colour, choice(SHAPES))


def random_pair_clip(pair: PairScene, num_frames: int, generator: torch.Generator) -> Clip:
    """Draw the paths: the moving one's as if it were alone, moved aside and made to fit."""
    assert pair.moving.shape != FACE
    clip = random_clip(pair.moving, num_frames, generator)
    draws = torch.rand(2, generator=generator)
    is_first = pair.relation in _OPPOSITE or (pair.relation in _SIZES and bool(draws[0] < 0.5))
    moving_share, still_share = _SIZES.get(pair.relation, (0.8, 0.8))
    place, other_place = (_NEAR, _FAR) if is_first else (_FAR, _NEAR)
    across = 1 if pair.relation in ("above", "below") else 0
    radii = clip.radii * (moving_share * _LARGEST / float(clip.radii.max()))
    centres = _refitted(clip, radii)
    centres[:, across] = place
    still = torch.full((2,), 0.3 + 0.4 * float(draws[1]))
    still[across] = other_place
    companion = Companion(
        pair.colour, pair.shape, (float(still[0]), float(still[1])), still_share * _LARGEST
    )
    return replace(clip, centres=centres, radii=radii, companion=companion)


def _refitted(clip: Clip, radii: Tensor) -> Tensor:
    """The path with its edges as far from the frame's as before, whatever the size is now."""
    margin_before, margin = float(clip.radii.max()) + 0.03, float(radii.max()) + 0.03
    share = (clip.centres - margin_before) / (1.0 - 2 * margin_before)
    return margin + share * (1.0 - 2 * margin)
