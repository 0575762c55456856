"""Clips come in groups that follow one path."""

import torch

from train.latents import paths_of_shard


def test_clips_of_a_path_differ_in_their_shape_alone() -> None:
    for path in paths_of_shard(0):
        first = path[0]
        assert len({clip.scene.shape for clip in path}) == len(path)
        for clip in path[1:]:
            assert torch.equal(clip.centres, first.centres)
            assert torch.equal(clip.radii, first.radii)
            assert clip.scene.colour == first.scene.colour
            assert clip.scene.motion == first.scene.motion


def test_no_clip_shows_a_combination_that_is_held_out() -> None:
    clips = [clip for path in paths_of_shard(1) for clip in path]
    assert len(clips) > 300
    assert not any(clip.scene.is_held_out for clip in clips)


def test_a_shard_is_drawn_the_same_again() -> None:
    once, again = paths_of_shard(2), paths_of_shard(2)
    assert [[clip.scene for clip in path] for path in once] == [
        [clip.scene for clip in path] for path in again
    ]
    assert torch.equal(once[-1][0].centres, again[-1][0].centres)
