"""Two shapes stand as their caption says, and the judge reads both."""

import pytest
import torch

from train.judge import AREAS, Frames
from train.pair import RELATIONS, PairScene, random_pair, random_pair_clip
from train.pair_judge import judge_pair
from train.world import SHAPES, Clip, render, shape_distance
from train.world_sound import render_sound

NUM_FRAMES = 49


def _drawn(relation: str, seed: int) -> tuple[PairScene, Clip]:
    generator = torch.Generator().manual_seed(seed)
    pair = random_pair(generator)
    while pair.relation != relation:
        pair = random_pair(generator)
    return pair, random_pair_clip(pair, NUM_FRAMES, generator)


def _frames(clip: Clip) -> Frames:
    video = render([clip], 128)[0]
    frames: Frames = ((video.permute(1, 2, 3, 0) + 1) * 127.5).round().byte().numpy()
    return frames


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("relation", RELATIONS)
def test_judge_reads_both_shapes_and_their_relation(relation: str, seed: int) -> None:
    pair, clip = _drawn(relation, seed)
    seen = judge_pair(_frames(clip))
    assert seen.moving == pair.moving
    assert (seen.still.colour, seen.still.shape) == (pair.colour, pair.shape)
    assert relation in seen.relations


@pytest.mark.parametrize("relation", RELATIONS)
def test_shapes_stay_in_the_frame_and_apart(relation: str) -> None:
    for seed in range(20):
        pair, clip = _drawn(relation, seed)
        assert pair.colour != pair.moving.colour
        assert clip.companion is not None
        apart = (clip.centres - torch.tensor(clip.companion.centre)).square().sum(1).sqrt()
        assert bool((apart > clip.radii + clip.companion.radius).all())
        for edge in (clip.centres, 1.0 - clip.centres):
            assert bool((edge >= clip.radii[:, None]).all())


def test_only_the_moving_one_is_heard() -> None:
    pair, clip = _drawn("left of", 3)
    alone = Clip(pair.moving, clip.centres, clip.radii, clip.contacts)
    assert torch.equal(render_sound(clip, 24), render_sound(alone, 24))


@pytest.mark.parametrize("shape", SHAPES)
def test_areas_that_the_judge_knows_are_those_drawn(shape: str) -> None:
    side = 400
    places = (torch.arange(side) + 0.5) / side * 2.4 - 1.2
    inside = shape_distance(shape, places[None, :], places[:, None], torch.tensor(1.0)) < 0
    assert float(inside.sum()) * (2.4 / side) ** 2 == pytest.approx(AREAS[shape], rel=0.02)
