"""Rules by which a prompt is enriched without a model.

Video models are trained on long captions, which tell of the camera, the light, the motion and
the look beside what is seen. What a prompt leaves open of these is filled in with words of such
captions; what it says is never changed.
"""

import random
import re
from collections.abc import Sequence
from typing import NamedTuple

# Models that read fewer tokens were trained on captions as short as prompts are.
LEAST_TOKENS = 64
# A token is about three quarters of an English word.
_WORDS_PER_TOKEN = 0.75
_ENGLISH_SHARE = 0.95


class _Topic(NamedTuple):
    """Something that captions tell of: the words by which they do, and what may be added."""

    spoken_of: re.Pattern[str]
    additions: Sequence[str]


def _topic(words: str, *additions: str) -> _Topic:
    return _Topic(re.compile(rf"\b(?:{words})", re.IGNORECASE), additions)


# The most important first: what does not fit is left out from the end.
_TOPICS = (
    _topic(
        r"camera|shot\b|close-?up|pan(?:s|ning)?\b|zoom|dolly|track(?:s|ing)\b|aerial|drone|angle|"
        r"viewpoint|point of view|from above|from below|handheld|timelapse|time-lapse",
        "medium shot, the camera holds still",
        "wide shot, the camera slowly moves closer",
        "close-up with a shallow depth of field",
        "the camera follows at eye level",
    ),
    _topic(
        r"light|lit\b|sun|night|dawn|dusk|dark|neon|shadow|moon|golden hour|candle|overcast|glow",
        "soft natural light",
        "warm light of the late afternoon",
        "even light of an overcast day",
        "gentle light from the side",
    ),
    _topic(
        r"mov(?:e|es|ing)|motion|slow|fast|quick|run|walk|fl(?:y|ies|ying)|fall|jump|danc|spin|"
        r"turn|ris(?:e|es|ing)|swim|driv|rid(?:e|es|ing)|still\b|wav(?:e|es|ing)|blow|drift",
        "calm, continuous motion",
        "natural motion throughout the scene",
    ),
    _topic(
        r"style|cartoon|anime|paint|photo|realis|cinema|film|3d|render|watercolou?r|sketch|drawn|"
        r"drawing|illustrat|black and white|pixel|clay|vintage",
        "realistic, finely detailed",
        "cinematic look with natural colours",
        "sharp focus, rich texture",
    ),
)


def add_by_rules(prompt: str, *, max_tokens: int, seed: int) -> str:
    """Return the prompt with what it leaves open; itself where nothing is to be added.

    The same arguments give the same words. Nothing is added to prompts of other alphabets, nor for
    models that read fewer than LEAST_TOKENS tokens; an unknown number, 0, counts as that many.
    """
    tokens = max_tokens or LEAST_TOKENS
    if tokens < LEAST_TOKENS or not _is_english_script(prompt):
        return prompt
    chosen = random.Random(f"{seed} {prompt}")
    num_words_left = int(_WORDS_PER_TOKEN * tokens) - len(prompt.split())
    parts = [prompt.rstrip(" .,;")]
    for topic in _TOPICS:
        addition = chosen.choice(topic.additions)
        if topic.spoken_of.search(prompt) or len(addition.split()) > num_words_left:
            continue
        parts.append(addition)
        num_words_left -= len(addition.split())
    return ", ".join(parts) if len(parts) > 1 else prompt


def _is_english_script(prompt: str) -> bool:
    letters = [character for character in prompt if character.isalpha()]
    num_plain = sum(character.isascii() for character in letters)
    return num_plain >= _ENGLISH_SHARE * len(letters) > 0
