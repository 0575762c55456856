"""The world of the built-in model: a coloured shape that moves, or a face that speaks.

Everything in a clip is decided by a few numbers, so that a program can draw it
exactly and another program (the judge) can say what it shows.
"""

import hashlib
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from train.face import (
    FACE,
    FEATURES_COLOUR,
    VOWELS,
    Syllable,
    features_distance,
    openness,
    random_syllables,
)

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 170, 50),
    "blue": (30, 60, 230),
    "yellow": (245, 215, 30),
    "orange": (250, 130, 20),
    "purple": (140, 30, 180),
    "cyan": (30, 220, 230),
    "pink": (250, 130, 190),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "gray": (128, 128, 128),
    "navy": (10, 10, 80),
}
SHAPES = ("circle", "square", "triangle", "star")
MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "bounce", "orbit")

_PHRASES: dict[str, tuple[str, ...]] = {
    "left": (
        "moving left",
        "sliding to the left",
        "drifting leftward",
        "travelling from right to left",
    ),
    "right": (
        "moving right",
        "sliding to the right",
        "drifting rightward",
        "travelling from left to right",
    ),
    "up": ("moving up", "rising", "floating upward", "climbing to the top"),
    "down": ("moving down", "falling", "sinking downward", "dropping to the bottom"),
    "grow": ("growing", "getting bigger", "swelling in size", "becoming larger"),
    "shrink": ("shrinking", "getting smaller", "dwindling in size", "becoming smaller"),
    "bounce": (
        "bouncing on the floor",
        "bouncing up and down",
        "hopping in place",
        "jumping up and down",
    ),
    "orbit": (
        "moving in a circle",
        "going around in a circle",
        "orbiting the centre",
        "circling around",
    ),
}
_TEMPLATES = (
    "a {colour} {shape} {motion} on a {background} background",
    "a video of a {colour} {shape} {motion}, {background} background",
    "{background} background with a {colour} {shape} {motion}",
    "on {background}, one {colour} {shape} is {motion}",
    "the {colour} {shape} keeps {motion} against a {background} backdrop",
)
_FACE_TEMPLATES = (
    "a {colour} face saying {sounds} on a {background} background",
    "a video of a {colour} face that says {sounds}, {background} background",
    "{background} background with a {colour} face speaking: {sounds}",
    "on {background}, a {colour} cartoon face goes {sounds}",
    "the {colour} face keeps saying {sounds} against a {background} backdrop",
)
_SOUNDS = ("{0}", "{0} {0}", "{0} {0} {0}", "{0}, {0}, {0}")
_INNER_STAR_RADIUS = 0.45


@dataclass(frozen=True)
class Scene:
    """What a clip shows, by name. The motion of a face is the vowel that it says."""

    colour: str
    shape: str
    motion: str
    background: str

    @property
    def is_held_out(self) -> bool:
        """Whether this (colour, shape, motion) is one of the fifth that is never trained."""
        key = f"{self.colour} {self.shape} {self.motion}".encode()
        return hashlib.sha256(key).digest()[0] % 5 == 0


@dataclass(frozen=True)
class Companion:
    """A second shape, which stays where it is."""

    colour: str
    shape: str
    centre: tuple[float, float]
    radius: float


@dataclass(frozen=True)
class Clip:
    """A scene with its path: centres and radii in units of the frame's side, per frame."""

    scene: Scene
    centres: Tensor
    """[T, 2] as (x, y), y downwards."""
    radii: Tensor
    """[T]"""
    contacts: tuple[float, ...] = ()
    """When the shape touches the floor, in frames; seldom whole numbers."""
    syllables: tuple[Syllable, ...] = ()
    """What a face says."""
    companion: Companion | None = None
    """What stays still beside it."""

    def part(self, start: int, end: int) -> "Clip":
        """The frames from `start` to before `end` as a clip of their own."""
        return replace(
            self,
            centres=self.centres[start:end],
            radii=self.radii[start:end],
            contacts=tuple(contact - start for contact in self.contacts),
            syllables=tuple(Syllable(one.start - start, one.end - start) for one in self.syllables),
        )


def random_scene(generator: torch.Generator, *, held_out: bool | None = False) -> Scene:
    """Draw a scene; `held_out` asks for trained (False), untrained (True) or any (None)."""
    while True:
        scene = Scene(
            colour=_choice(tuple(COLOURS), generator),
            shape=_choice(SHAPES, generator),
            motion=_choice(MOTIONS, generator),
            background=_choice(tuple(BACKGROUNDS), generator),
        )
        if held_out is None or scene.is_held_out == held_out:
            return scene


def random_face(generator: torch.Generator) -> Scene:
    """Draw the scene of a speaking face."""
    return Scene(
        colour=_choice(tuple(COLOURS), generator),
        shape=FACE,
        motion=_choice(tuple(VOWELS), generator),
        background=_choice(tuple(BACKGROUNDS), generator),
    )


def caption(scene: Scene, generator: torch.Generator) -> str:
    """One of the twenty ways to say what the scene shows."""
    if scene.shape == FACE:
        return _choice(_FACE_TEMPLATES, generator).format(
            colour=scene.colour,
            sounds=_choice(_SOUNDS, generator).format(scene.motion),
            background=scene.background,
        )
    return _choice(_TEMPLATES, generator).format(
        colour=scene.colour,
        shape=scene.shape,
        motion=_choice(_PHRASES[scene.motion], generator),
        background=scene.background,
    )


def all_captions() -> list[str]:
    """Every plain caption of every scene of a shape."""
    return [
        template.format(colour=colour, shape=shape, motion=phrase, background=background)
        for template in _TEMPLATES
        for colour in COLOURS
        for shape in SHAPES
        for phrases in _PHRASES.values()
        for phrase in phrases
        for background in BACKGROUNDS
    ]


def random_clip(scene: Scene, num_frames: int, generator: torch.Generator) -> Clip:
    """Draw a path for the scene: start, size, phase and speed are free, the motion is not."""
    if scene.shape == FACE:
        return _random_face_clip(scene, num_frames, generator)
    time = torch.linspace(0.0, 1.0, num_frames)
    radius = _uniform(0.13, 0.19, generator)
    radii = torch.full((num_frames,), radius)
    if scene.motion in ("grow", "shrink"):
        small, ratio = _uniform(0.09, 0.12, generator), _uniform(1.7, 2.2, generator)
        radii = small * ratio**time
        if scene.motion == "shrink":
            radii = radii.flip(0)
    size = float(radii.max())
    if scene.motion == "bounce":
        centres, contacts = _bounce(time, size, generator)
        return Clip(scene, centres, radii, contacts)
    return Clip(scene, _path(scene.motion, time, size, generator), radii)


def _random_face_clip(scene: Scene, num_frames: int, generator: torch.Generator) -> Clip:
    radius = _uniform(0.24, 0.34, generator)
    low, high = radius + 0.03, 1.0 - radius - 0.03
    centre = torch.tensor([_uniform(low, high, generator), _uniform(low, high, generator)])
    return Clip(
        scene,
        centre.expand(num_frames, 2).clone(),
        torch.full((num_frames,), radius),
        syllables=random_syllables(num_frames, generator),
    )


def _bounce(
    time: Tensor, radius: float, generator: torch.Generator
) -> tuple[Tensor, tuple[float, ...]]:
    """A path of hops, each a parabola, and the frames at which one ends."""
    low, high = radius + 0.03, 1.0 - radius - 0.03
    x, height = _uniform(low, high, generator), _uniform(0.3, high - low, generator)
    phase, bounces = _uniform(0.0, 1.0, generator), _uniform(2.0, 3.0, generator)
    fraction = (phase + bounces * time) % 1.0
    hop = 4.0 * fraction * (1.0 - fraction)
    centres = torch.stack((torch.full_like(time, x), high - height * hop), -1)
    last = len(time) - 1
    ends = range(math.ceil(phase), math.floor(phase + bounces) + 1)
    return centres, tuple(last * (end - phase) / bounces for end in ends)


def _path(motion: str, time: Tensor, radius: float, generator: torch.Generator) -> Tensor:
    low, high = radius + 0.03, 1.0 - radius - 0.03
    free = _uniform(low, high, generator)
    if motion in ("left", "right", "up", "down"):
        travel = _uniform(0.4, high - low, generator)
        start = _uniform(low, high - travel, generator)
        along = start + travel * time
        across = torch.full_like(time, free)
        if motion in ("left", "up"):
            along = along.flip(0)
        is_sideways = motion in ("left", "right")
        return torch.stack((along, across) if is_sideways else (across, along), -1)
    if motion == "orbit":
        ring = _uniform(0.16, 0.5 - radius - 0.03, generator)
        middle_x = _uniform(low + ring, high - ring, generator)
        middle_y = _uniform(low + ring, high - ring, generator)
        angle = 2 * math.pi * (_uniform(0.0, 1.0, generator) + time)
        return torch.stack((middle_x + ring * angle.cos(), middle_y + ring * angle.sin()), -1)
    still = torch.tensor([free, _uniform(low, high, generator)])
    return still.expand(len(time), 2).clone()


def render(clips: list[Clip], side: int, window: tuple[int, int, int, int] | None = None) -> Tensor:
    """Draw clips: [B, 3, T, H, W] float32 in [-1, 1].

    `window` (top, left, height, width) in pixels draws only that part of the frame.
    """
    top, left, height, width = window or (0, 0, side, side)
    ys = (torch.arange(top, top + height) + 0.5) / side
    xs = (torch.arange(left, left + width) + 0.5) / side
    drawn = [_render_one(clip, xs, ys, side) for clip in clips]
    return torch.stack(drawn)


def _render_one(clip: Clip, xs: Tensor, ys: Tensor, side: int) -> Tensor:
    centres, radii = clip.centres, clip.radii[:, None, None]
    dx = (xs - centres[:, :1])[:, None, :]
    dy = (ys - centres[:, 1:])[:, :, None]
    shape, backdrop = clip.scene.shape, _levels(BACKGROUNDS[clip.scene.background])
    outline = shape_distance("circle" if shape == FACE else shape, dx, dy, radii)
    if clip.companion is not None:
        backdrop = _with_companion(backdrop, clip.companion, xs, ys, side=side)
    picture = _painted(backdrop, outline * side, COLOURS[clip.scene.colour])
    if shape == FACE:
        moments = torch.arange(len(radii), dtype=radii.dtype)[:, None, None]
        opened = openness(clip.syllables, moments)
        features = features_distance(clip.scene.motion, dx, dy, radius=radii, opened=opened)
        picture = _painted(picture, features * side, FEATURES_COLOUR)
    return picture


def _with_companion(
    picture: Tensor, companion: Companion, xs: Tensor, ys: Tensor, *, side: int
) -> Tensor:
    (x, y), radius = companion.centre, torch.tensor(companion.radius)
    dx, dy = (xs - x)[None, None, :], (ys - y)[None, :, None]
    outline = shape_distance(companion.shape, dx, dy, radius)
    return _painted(picture, outline * side, COLOURS[companion.colour])


def _painted(picture: Tensor, distance: Tensor, colour: tuple[int, int, int]) -> Tensor:
    """Paint what lies within a distance, in pixels, of below zero: [3, T, H, W]."""
    coverage = (0.5 - distance).clamp(0, 1)
    return picture + (_levels(colour) - picture) * coverage


def _levels(colour: tuple[int, int, int]) -> Tensor:
    return (torch.tensor(colour) / 127.5 - 1.0)[:, None, None, None]


def shape_distance(shape: str, dx: Tensor, dy: Tensor, radius: Tensor) -> Tensor:
    """Signed distance to a shape's outline, negative inside, exact near straight edges."""
    if shape == "circle":
        return (dx.square() + dy.square()).sqrt() - radius
    if shape == "square":
        return torch.maximum(dx.abs(), dy.abs()) - 0.85 * radius
    if shape == "triangle":
        slanted = (math.sqrt(3) * dx.abs() - dy) / 2 - radius / 2
        return torch.maximum(slanted, dy - radius / 2)
    return _star_distance(dx, dy, radius)


def _star_distance(dx: Tensor, dy: Tensor, radius: Tensor) -> Tensor:
    # The ten edges fold onto one: from the outer tip at angle 0 to the inner corner at 36 degrees.
    sector = 2 * math.pi / 5
    angle = torch.atan2(dx, -dy)
    folded = ((angle + sector / 2) % sector - sector / 2).abs()
    length = (dx.square() + dy.square()).sqrt()
    inner_x = _INNER_STAR_RADIUS * math.cos(sector / 2)
    inner_y = _INNER_STAR_RADIUS * math.sin(sector / 2)
    edge = math.hypot(1.0 - inner_x, inner_y)
    normal_x, normal_y = inner_y / edge, (1.0 - inner_x) / edge
    return (length * folded.cos() - radius) * normal_x + length * folded.sin() * normal_y


def _choice(options: tuple[str, ...], generator: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=generator))]


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
