"""Many captions say the same, and none says what another scene shows."""

from itertools import combinations

import pytest
import torch

from train.captions import (
    BACKGROUND_WORDS,
    COLOUR_WORDS,
    MOTION_WORDS,
    RELATION_WORDS,
    SHAPE_WORDS,
    Words,
    rich_caption,
)
from train.face import FACE, VOWELS
from train.pair import RELATIONS
from train.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Scene

TABLES = [COLOUR_WORDS, BACKGROUND_WORDS, SHAPE_WORDS, MOTION_WORDS, RELATION_WORDS]


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_name_of_the_world_has_synonyms() -> None:
    assert set(COLOUR_WORDS) == set(COLOURS)
    assert set(BACKGROUND_WORDS) == set(BACKGROUNDS)
    assert set(SHAPE_WORDS) == {*SHAPES, FACE}
    assert set(MOTION_WORDS) == {*MOTIONS, *VOWELS}
    assert set(RELATION_WORDS) == set(RELATIONS)
    assert min(len(options) for table in TABLES for options in table.values()) >= 3


@pytest.mark.parametrize("words", TABLES)
def test_no_word_means_two_things(words: Words) -> None:
    for one, other in combinations(words, 2):
        assert not set(words[one]) & set(words[other])


def test_a_scene_has_thousands_of_captions_each_with_one_of_every_word() -> None:
    scene = Scene("orange", "square", "orbit", "navy")
    texts = {rich_caption(scene, _seeded(seed)) for seed in range(1500)}
    assert len(texts) > 700
    for text in texts:
        for words, name in zip(
            TABLES, (scene.colour, scene.background, scene.shape, scene.motion), strict=False
        ):
            assert any(option in text for option in words[name]), text


def test_a_vowel_has_its_article() -> None:
    scene = Scene("orange", "square", "up", "gray")
    for seed in range(200):
        text = f" {rich_caption(scene, _seeded(seed))}"
        assert not any(f" a {vowel}" in text for vowel in "aeiou")


def test_caption_of_two_names_the_relation_and_the_other() -> None:
    scene = Scene("red", "star", "up", "white")
    text = rich_caption(scene, _seeded(0), beside=("left of", "blue", "circle"))
    assert any(option in text for option in RELATION_WORDS["left of"])
    assert any(option in text for option in COLOUR_WORDS["blue"])
    assert any(option in text for option in SHAPE_WORDS["circle"])
