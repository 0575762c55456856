"""Cleans a prompt: one Unicode form, no control characters, single spaces."""

import unicodedata

from telecine.errors import InvalidFieldError

MAX_PROMPT_CHARACTERS = 2000

# Joiners are format characters too, but emoji and Indic scripts are spelt with them.
_KEPT_FORMAT_CHARACTERS = frozenset("\u200c\u200d")


def parse_prompt(text: str, *, field: str) -> str:
    """Returns the clean text of a prompt that must say something.

    Raises:
        InvalidFieldError: nothing is left of it, or it is too long; it names `field`.
    """
    prompt = parse_optional_prompt(text, field=field)
    if not prompt:
        raise InvalidFieldError(field, "must not be empty")
    return prompt


def parse_optional_prompt(text: str, *, field: str) -> str:
    """Returns the clean text of a prompt that may be empty.

    The limit counts the characters as sent, so that a caller can count them too.

    Raises:
        InvalidFieldError: it is too long; it names `field`.
    """
    if len(text) > MAX_PROMPT_CHARACTERS:
        raise InvalidFieldError(
            field, f"has {len(text):,} characters; the limit is {MAX_PROMPT_CHARACTERS:,}"
        )
    # Printable ASCII, the usual case, has only one form and no control characters.
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFC", "".join(_clean(character) for character in text))
    return " ".join(text.split())


def _clean(character: str) -> str:
    """Returns what stays of a character: itself, nothing, or a space for a control character."""
    match unicodedata.category(character):
        case "Cc":
            return " "
        case "Cf" if character not in _KEPT_FORMAT_CHARACTERS:
            return ""
        case _:
            return character
