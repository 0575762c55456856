"""Captions of the full world: many ways to say one thing, with a synonym for every word.

Half of what the weights are trained on; the other half are the few of `train.world.caption`.
"""

import re
from collections.abc import Mapping

import torch

from train.face import FACE
from train.pair import PairScene
from train.world import Scene, caption

_BEFORE_VOWEL = re.compile(r"\ba (?=[aeiou])")

Words = Mapping[str, tuple[str, ...]]

COLOUR_WORDS: Words = {
    "red": ("red", "crimson", "scarlet"),
    "green": ("green", "emerald", "leaf-green"),
    "blue": ("blue", "cobalt", "royal blue"),
    "yellow": ("yellow", "golden", "lemon"),
    "orange": ("orange", "tangerine", "pumpkin-coloured"),
    "purple": ("purple", "violet", "plum"),
    "cyan": ("cyan", "turquoise", "aqua"),
    "pink": ("pink", "rosy", "bubblegum"),
}
BACKGROUND_WORDS: Words = {
    "white": ("white", "snow-white", "chalk-white"),
    "black": ("black", "pitch-black", "jet-black"),
    "gray": ("gray", "grey", "ashen"),
    "navy": ("navy", "dark blue", "midnight blue"),
}
SHAPE_WORDS: Words = {
    "circle": ("circle", "disc", "ball", "dot"),
    "square": ("square", "box", "block"),
    "triangle": ("triangle", "three-sided shape", "wedge"),
    "star": ("star", "five-pointed star", "pointed star"),
    FACE: ("face", "cartoon face", "head"),
}
MOTION_WORDS: Words = {
    "left": (
        "moving left",
        "sliding to the left",
        "drifting leftward",
        "travelling from right to left",
        "heading for the left side",
        "gliding towards the left edge",
    ),
    "right": (
        "moving right",
        "sliding to the right",
        "drifting rightward",
        "travelling from left to right",
        "heading for the right side",
        "gliding towards the right edge",
    ),
    "up": (
        "moving up",
        "rising",
        "floating upward",
        "climbing to the top",
        "going up",
        "lifting off towards the upper edge",
    ),
    "down": (
        "moving down",
        "falling",
        "sinking downward",
        "dropping to the bottom",
        "going down",
        "descending towards the lower edge",
    ),
    "grow": (
        "growing",
        "getting bigger",
        "swelling in size",
        "becoming larger",
        "expanding",
        "blowing up like a balloon",
    ),
    "shrink": (
        "shrinking",
        "getting smaller",
        "dwindling in size",
        "becoming smaller",
        "contracting",
        "fading to a tiny size",
    ),
    "bounce": (
        "bouncing on the floor",
        "bouncing up and down",
        "hopping in place",
        "jumping up and down",
        "springing off the ground",
        "leaping again and again",
    ),
    "orbit": (
        "moving in a circle",
        "going around in a circle",
        "orbiting the centre",
        "circling around",
        "running round in rings",
        "looping around and around",
    ),
    "ah": ("saying ah", "going ah ah", "saying aah, aah", "singing ah"),
    "ee": ("saying ee", "going ee ee", "saying eee, eee", "singing ee"),
    "oh": ("saying oh", "going oh oh", "saying ooh-oh, oh", "singing oh"),
    "oo": ("saying oo", "going oo oo", "saying ooo, ooo", "singing oo"),
}
RELATION_WORDS: Words = {
    "left of": ("left of", "to the left of", "on the left side of"),
    "right of": ("right of", "to the right of", "on the right side of"),
    "above": ("above", "over", "higher than"),
    "below": ("below", "under", "lower than"),
    "bigger than": ("bigger than", "larger than", "that outsizes"),
    "smaller than": ("smaller than", "tinier than", "dwarfed by"),
}
_TEMPLATES = (
    "a {thing} {motion} on a {background} background",
    "a video of a {thing} {motion}, {background} background",
    "{background} background with a {thing} {motion}",
    "on {background}, one {thing} is {motion}",
    "the {thing} keeps {motion} against a {background} backdrop",
    "{thing}, {motion}, {background} behind it",
    "we see a {thing} {motion} before a {background} wall",
    "an animation: a {thing} {motion} on {background}",
    "before a {background} background there is a {thing} {motion}",
    "show me a {thing} {motion}; make the background {background}",
)


def any_caption(scene: Scene | PairScene, generator: torch.Generator) -> str:
    """A plain caption or a rich one, as often; of two shapes always a rich one."""
    if isinstance(scene, PairScene):
        return rich_caption(scene.moving, generator, beside=scene.beside)
    is_rich = bool(torch.rand((), generator=generator) < 0.5)
    return rich_caption(scene, generator) if is_rich else caption(scene, generator)


def rich_caption(
    scene: Scene, generator: torch.Generator, *, beside: tuple[str, str, str] | None = None
) -> str:
    """One of thousands of ways to say what a scene shows.

    Args:
        scene: the one that moves.
        generator: what the words are drawn from.
        beside: a relation, and the colour and the shape of what stays still.
    """

    def word(words: Words, name: str) -> str:
        options = words[name]
        return options[int(torch.randint(len(options), (), generator=generator))]

    thing = f"{word(COLOUR_WORDS, scene.colour)} {word(SHAPE_WORDS, scene.shape)}"
    motion = word(MOTION_WORDS, scene.motion)
    if beside is not None:
        relation, colour, shape = beside
        other = f"{word(COLOUR_WORDS, colour)} {word(SHAPE_WORDS, shape)}"
        thing = f"{thing} {word(RELATION_WORDS, relation)} a {other}"
    template = _TEMPLATES[int(torch.randint(len(_TEMPLATES), (), generator=generator))]
    background = word(BACKGROUND_WORDS, scene.background)
    text = template.format(thing=thing, motion=motion, background=background)
    return _BEFORE_VOWEL.sub("an ", text)
