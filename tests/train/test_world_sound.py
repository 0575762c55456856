"""The world sounds as it looks: contacts thump, tones follow the path, shapes differ in timbre."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from train.world import MOTIONS, SHAPES, Clip, Scene, random_clip
from train.world_sound import SAMPLE_RATE, render_sound, sound_events

FPS = 16


def _clip(motion: str, shape: str = "star", seed: int = 0) -> Clip:
    scene = Scene("red", shape, motion, "white")
    return random_clip(scene, 33, torch.Generator().manual_seed(seed))


def _loudness(sound: Tensor, moment: float, seconds: float = 0.02) -> float:
    first = round(moment * SAMPLE_RATE)
    part = sound[max(0, first) : max(0, first + round(seconds * SAMPLE_RATE))]
    return float(part.square().mean().sqrt()) if len(part) else 0.0


def _strongest_frequency(sound: Tensor) -> float:
    spectrum = torch.fft.rfft(sound * torch.hann_window(len(sound))).abs()
    return float(spectrum.argmax()) * SAMPLE_RATE / len(sound)


@pytest.mark.parametrize("seed", range(20))
def test_shape_is_lowest_at_each_contact(seed: int) -> None:
    clip = _clip("bounce", seed=seed)
    fastest = 0.75 * 4 * 3 / 32
    for contact in clip.contacts:
        nearest = clip.centres[round(contact), 1]
        assert float(clip.centres[:, 1].max() - nearest) <= fastest * 0.5 + 0.02
    assert len(clip.contacts) in (2, 3)


@pytest.mark.parametrize("seed", range(10))
def test_a_contact_thumps_after_silence(seed: int) -> None:
    clip = _clip("bounce", seed=seed)
    sound = render_sound(clip, FPS)
    for event in sound_events(clip, FPS):
        assert _loudness(sound, event - 0.021) < 0.001
        if event + 0.02 < len(sound) / SAMPLE_RATE:
            assert _loudness(sound, event) > 0.2


def test_a_bounce_is_silent_before_its_first_contact() -> None:
    clip = _clip("bounce", seed=1)
    first = math.floor(sound_events(clip, FPS)[0] * SAMPLE_RATE)
    assert not render_sound(clip, FPS)[:first].any()


@pytest.mark.parametrize(("motion", "rises"), [("up", True), ("down", False), ("grow", False)])
def test_pitch_follows_height_and_falls_with_size(motion: str, *, rises: bool) -> None:
    sound = render_sound(_clip(motion, "circle"), FPS)
    start, end = _strongest_frequency(sound[:6400]), _strongest_frequency(sound[-6400:])
    assert (end > start + 40) if rises else (end < start - 40)


def test_what_passes_by_is_loudest_in_the_middle() -> None:
    clip = replace(_clip("right"), centres=torch.linspace(0.2, 0.8, 33)[:, None].expand(33, 2))
    sound = render_sound(clip, FPS)
    assert _loudness(sound, 1.0, 0.04) > 1.3 * max(
        _loudness(sound, 0.1, 0.04), _loudness(sound, 1.96, 0.04)
    )


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_sound_is_as_long_as_the_frames_and_within_range(shape: str, motion: str) -> None:
    sound = render_sound(_clip(motion, shape), FPS)
    assert sound.shape == (33_000,)
    assert 0.1 < float(sound.abs().max()) < 1.0


@pytest.mark.parametrize("motion", MOTIONS)
def test_notes_join_without_a_jump(motion: str) -> None:
    sound = render_sound(_clip(motion, "circle"), FPS)
    steepest = 0.55 * 2 * math.pi * 450 / SAMPLE_RATE
    assert float(sound.diff().abs().max()) < 1.1 * steepest


def test_longer_sound_begins_with_the_same_samples() -> None:
    clip = _clip("orbit")
    assert torch.equal(render_sound(clip, FPS, 33_280)[:33_000], render_sound(clip, FPS))


def test_colour_and_background_are_not_heard() -> None:
    clip = _clip("bounce")
    other = replace(clip, scene=replace(clip.scene, colour="blue", background="black"))
    assert torch.equal(render_sound(clip, FPS), render_sound(other, FPS))


def test_shapes_differ_in_timbre() -> None:
    spectra = []
    for shape in SHAPES:
        sound = render_sound(replace(_clip("up"), scene=Scene("red", shape, "up", "white")), FPS)
        spectrum = torch.fft.rfft(sound).abs()
        spectra.append(spectrum / spectrum.norm())
    alike = torch.stack(spectra) @ torch.stack(spectra).T
    assert float((alike - torch.eye(4)).max()) < 0.75
