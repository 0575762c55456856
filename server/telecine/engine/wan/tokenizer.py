"""Prompts to UMT5's tokens, cleaned as Wan's own pipelines clean them."""

import html
import json
import re
from pathlib import Path

import ftfy
import numpy as np
from tokenizers import Tokenizer

from telecine.engine.text_encoders.tokenizer import TokenizedPrompt

MAX_PROMPT_TOKENS = 512


def clean_prompt(prompt: str) -> str:
    """Mend broken encodings, undo HTML entities, even if doubled, and join white space."""
    mended = ftfy.fix_text(ftfy.fix_text(prompt))
    return re.sub(r"\s+", " ", html.unescape(html.unescape(mended)).strip()).strip()


class UMT5Tokenizer:
    """Reads a folder's tokenizer.json and tokenizer_config.json."""

    def __init__(self, folder: Path, max_prompt_tokens: int) -> None:
        self._max_prompt_tokens = max_prompt_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._pad = self._tokenizer.token_to_id(_pad_token(folder))

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize, cut to the model's length, end mark kept, and pad."""
        length = self._max_prompt_tokens
        encoding = self._tokenizer.encode(clean_prompt(prompt))
        num_tokens = len(encoding.ids)
        kept = encoding.ids
        if num_tokens > length:
            kept = [*kept[: length - 1], kept[-1]]
        padding = length - len(kept)
        return TokenizedPrompt(
            input_ids=np.array([kept + [self._pad] * padding], np.int64),
            attention_mask=np.array([[1] * len(kept) + [0] * padding], np.int64),
            num_tokens=num_tokens,
            is_truncated=num_tokens > length,
        )


def load_tokenizer(folder: Path) -> UMT5Tokenizer:
    """Open the tokenizer of Wan's weights."""
    return UMT5Tokenizer(folder / "tokenizer", MAX_PROMPT_TOKENS)


def _pad_token(folder: Path) -> str:
    token = json.loads((folder / "tokenizer_config.json").read_text())["pad_token"]
    return str(token["content"] if isinstance(token, dict) else token)
