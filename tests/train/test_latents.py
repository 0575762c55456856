"""Clips come in groups that follow one path."""

from pathlib import Path

import pytest
import torch

from train.face import FACE
from train.latents import LONG_NUM_FRAMES, Kind, LatentClips, Shown, paths_of_shard
from train.pair import PairScene, moving_of
from train.vae import NUM_FRAMES
from train.world import Scene


def moving(shown: Shown) -> Scene:
    return moving_of(shown.scene)


def test_clips_of_a_path_differ_in_their_shape_or_vowel_alone() -> None:
    for path in paths_of_shard(0):
        first = path[0]
        names = {(moving(one).shape, moving(one).motion) for one in path}
        assert len(names) == len(path)
        for one in path[1:]:
            assert torch.equal(one.clip.centres, first.clip.centres)
            assert torch.equal(one.clip.radii, first.clip.radii)
            assert one.clip.syllables == first.clip.syllables
            assert one.clip.companion == first.clip.companion
            assert moving(one).colour == moving(first).colour
            is_face = moving(one).shape == FACE
            assert is_face or moving(one).motion == moving(first).motion


def test_a_clip_shows_what_its_caption_is_drawn_from() -> None:
    for path in paths_of_shard(0):
        for one in path:
            assert one.clip.scene == moving(one)
            assert isinstance(one.scene, PairScene) == (one.clip.companion is not None)


def test_no_clip_shows_a_combination_that_is_held_out() -> None:
    shown = [one for path in paths_of_shard(1) for one in path]
    assert len(shown) > 300
    assert not any(moving(one).is_held_out for one in shown if moving(one).shape != FACE)


@pytest.mark.parametrize(("shard", "num_frames"), [(0, NUM_FRAMES), (2, LONG_NUM_FRAMES)])
def test_every_third_shard_has_more_frames(shard: int, num_frames: int) -> None:
    assert {len(one.clip.radii) for path in paths_of_shard(shard) for one in path} == {num_frames}


def test_a_shard_is_drawn_the_same_again() -> None:
    once, again = paths_of_shard(2), paths_of_shard(2)
    assert [[one.scene for one in path] for path in once] == [
        [one.scene for one in path] for path in again
    ]
    assert torch.equal(once[-1][0].clip.centres, again[-1][0].clip.centres)


def test_clips_of_each_length_are_read_with_their_scenes(tmp_path: Path) -> None:
    alone, face = ("red", "star", "up", "white"), ("red", "face", "oh", "white")
    for shard, latent_frames in ((0, 9), (2, 13)):
        contents = {
            "latents": torch.full((4, 1, latent_frames, 1, 1), float(shard)),
            "scenes": [alone, alone, (*alone, "left of", "blue", "circle"), face],
            "path_sizes": [2, 1, 1],
        }
        torch.save(contents, tmp_path / f"{shard:04d}.pt")
    clips = LatentClips(tmp_path, LONG_NUM_FRAMES)
    clips.refresh()
    assert clips.latents.shape == (4, 1, 13, 1, 1)
    scene = Scene(*alone)
    pair = PairScene(scene, "left of", "blue", "circle")
    assert clips.scenes == [scene, scene, pair, Scene(*face)]
    assert clips.paths == {"shape": [range(2)], "pair": [range(2, 3)], "face": [range(3, 4)]}


def test_a_shard_that_is_written_late_is_read_once(tmp_path: Path) -> None:
    def write(shard: int) -> None:
        contents = {
            "latents": torch.full((1, 1, 9, 1, 1), float(shard)),
            "scenes": [("red", "star", "up", "white")],
            "path_sizes": [1],
        }
        torch.save(contents, tmp_path / f"{shard:04d}.pt")

    clips = LatentClips(tmp_path)
    for shard in (0, 3, 1):
        write(shard)
        clips.refresh()
        clips.refresh()
    assert clips.latents.flatten(1)[:, 0].tolist() == [0.0, 3.0, 1.0]
    assert clips.shards == ["0000.pt", "0003.pt", "0001.pt"]


def test_kinds_are_drawn_as_often_as_asked_whatever_there_is_of_each(tmp_path: Path) -> None:
    alone, face = ("red", "star", "up", "white"), ("red", "face", "oh", "white")
    contents = {
        "latents": torch.zeros(7, 1, 9, 1, 1),
        "scenes": [*[alone] * 6, face],
        "path_sizes": [2, 2, 2, 1],
    }
    torch.save(contents, tmp_path / "0000.pt")
    clips = LatentClips(tmp_path)
    clips.refresh()
    generator = torch.Generator().manual_seed(0)
    shares: dict[Kind, float] = {"shape": 0.5, "face": 0.25, "pair": 0.25}
    drawn = [clips.draw_clip(shares, generator) for _ in range(900)]
    assert 250 < drawn.count(6) < 350  # a third: there are no pairs
    assert set(drawn) == set(range(7))
