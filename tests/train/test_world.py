"""The world draws what its captions say, and the judge reads it back."""

import pytest
import torch

from train.judge import judge
from train.world import (
    BACKGROUNDS,
    COLOURS,
    MOTIONS,
    SHAPES,
    Scene,
    caption,
    random_clip,
    random_scene,
    render,
)


def _frames(scene: Scene, seed: int, num_frames: int = 33) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    video = render([random_clip(scene, num_frames, generator)], 128)[0]
    return ((video.permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255).byte()


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("shape", SHAPES)
def test_judge_reads_rendered_truth(shape: str, motion: str) -> None:
    seed = SHAPES.index(shape) * len(MOTIONS) + MOTIONS.index(motion)
    scene = Scene(
        colour=tuple(COLOURS)[seed % len(COLOURS)],
        shape=shape,
        motion=motion,
        background=tuple(BACKGROUNDS)[seed // 8],
    )
    assert judge(_frames(scene, seed).numpy()) == scene


def test_judge_reads_a_blank_clip_without_failing() -> None:
    assert judge(torch.zeros(33, 128, 128, 3, dtype=torch.uint8).numpy()).background == "black"


def test_held_out_combinations_are_never_drawn_for_training() -> None:
    generator = torch.Generator().manual_seed(0)
    assert not any(random_scene(generator).is_held_out for _ in range(500))


def test_one_in_five_combinations_is_held_out() -> None:
    scenes = [Scene(c, s, m, "white") for c in COLOURS for s in SHAPES for m in MOTIONS]
    share = sum(scene.is_held_out for scene in scenes) / len(scenes)
    assert 0.15 < share < 0.25


def test_caption_names_what_the_scene_shows() -> None:
    scene = Scene("red", "star", "up", "navy")
    text = caption(scene, torch.Generator().manual_seed(0))
    assert {"red", "star", "navy"} <= set(text.replace(",", "").split())


def test_window_draws_a_part_of_the_frame() -> None:
    clip = random_clip(
        Scene("red", "circle", "orbit", "white"), 5, torch.Generator().manual_seed(0)
    )
    whole = render([clip], 128)
    assert torch.equal(render([clip], 128, (32, 16, 64, 48)), whole[..., 32:96, 16:64])


@pytest.mark.parametrize("motion", MOTIONS)
def test_judge_reads_two_seconds_at_24_frames_a_second(motion: str) -> None:
    for seed, shape in enumerate(SHAPES):
        scene = Scene(tuple(COLOURS)[seed], shape, motion, tuple(BACKGROUNDS)[seed])
        assert judge(_frames(scene, seed, num_frames=49).numpy()) == scene
