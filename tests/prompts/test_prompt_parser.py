"""The prompt a model gets is clean, and a bad one is named by its field."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telecine.errors import InvalidFieldError
from telecine.prompts.prompt_parser import (
    MAX_PROMPT_CHARACTERS,
    parse_optional_prompt,
    parse_prompt,
)


def test_plain_prompt_is_kept_as_it_is() -> None:
    assert parse_prompt("a red circle moves left", field="f") == "a red circle moves left"


def test_whitespace_of_every_kind_becomes_single_spaces() -> None:
    assert parse_prompt("  a\tred\r\n circle\u00a0 \u3000", field="f") == "a red circle"


def test_control_characters_separate_words() -> None:
    assert parse_prompt("a\x00red\x1bcircle\x7f", field="f") == "a red circle"


def test_invisible_format_characters_are_dropped() -> None:
    assert parse_prompt("re\u200bd \u202ecircle\ufeff", field="f") == "red circle"


def test_joiners_that_spell_emoji_are_kept() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    assert parse_prompt(family, field="f") == family


@pytest.mark.parametrize("text", ["cafe\u0301", "cafe\u200b\u0301"])
def test_decomposed_letters_are_composed(text: str) -> None:
    assert parse_prompt(text, field="f") == "caf\u00e9"


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00", "\u200b"])
def test_prompt_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError) as raised:
        parse_prompt(text, field="spec.prompt")
    assert raised.value.field == "spec.prompt"
    assert parse_optional_prompt(text, field="spec.negative_prompt") == ""


def test_prompt_of_exactly_the_limit_is_taken() -> None:
    assert len(parse_prompt("a" * MAX_PROMPT_CHARACTERS, field="f")) == MAX_PROMPT_CHARACTERS


def test_prompt_over_the_limit_is_refused_with_both_lengths() -> None:
    with pytest.raises(InvalidFieldError, match=r"spec.prompt: has 2,001 characters.*2,000"):
        parse_prompt("\U0001f600" * 2001, field="spec.prompt")


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = parse_optional_prompt(text, field="f")
    assert parse_optional_prompt(once, field="f") == once
    assert unicodedata.is_normalized("NFC", once)
    assert not any(unicodedata.category(character) == "Cc" for character in once)
