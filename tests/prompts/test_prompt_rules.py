"""What rules add to a prompt, and what they leave alone."""

import pytest

from telecine.prompts.prompt_rules import LEAST_TOKENS, add_by_rules


def test_what_the_prompt_says_is_kept_and_comes_first() -> None:
    expanded = add_by_rules("a lighthouse in a storm.", max_tokens=512, seed=1)
    assert expanded.startswith("a lighthouse in a storm, ")
    assert len(expanded.split(", ")) > 4


def test_same_prompt_and_seed_give_the_same_words_and_another_seed_others() -> None:
    by_seed = {add_by_rules("a lighthouse", max_tokens=512, seed=seed) for seed in range(20)}
    assert len(by_seed) > 5
    assert add_by_rules("a lighthouse", max_tokens=512, seed=3) in by_seed


@pytest.mark.parametrize(
    ("prompt", "topic"),
    [
        ("a drone flies over a valley", "camera"),
        ("a fox, close-up", "shot"),
        ("a street lit by neon", "light"),
        ("a fox runs", "motion"),
        ("a fox, watercolour", "look"),
    ],
)
def test_nothing_is_added_on_what_the_prompt_tells_of(prompt: str, topic: str) -> None:
    added = {
        part
        for seed in range(30)
        for part in add_by_rules(prompt, max_tokens=512, seed=seed)[len(prompt) :].split(", ")
    }
    words = {"camera": "camera", "shot": "shot", "light": "light", "motion": "motion"}
    assert not any(words.get(topic, "cinematic") in part for part in added)


@pytest.mark.parametrize("prompt", ["灯塔在暴风雨中", "маяк в бурю", "1 2 3", "a 灯塔"])
def test_prompt_of_another_alphabet_stays_as_it_is(prompt: str) -> None:
    assert add_by_rules(prompt, max_tokens=512, seed=1) == prompt


def test_model_that_reads_few_tokens_gets_the_prompt_as_it_is() -> None:
    assert add_by_rules("a lighthouse", max_tokens=LEAST_TOKENS - 1, seed=1) == "a lighthouse"


@pytest.mark.parametrize("num_words", [1, 20, 40, 47, 60])
def test_expanded_prompt_fits_what_the_model_reads(num_words: int) -> None:
    prompt = " ".join(["word"] * num_words)
    expanded = add_by_rules(prompt, max_tokens=64, seed=1)
    assert len(expanded.split()) <= max(num_words, 48)
