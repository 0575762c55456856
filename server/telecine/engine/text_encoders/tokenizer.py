"""A prompt's tokens, at the fixed length that the encoders take.

Modules of tokenizers import no PyTorch, so that a process that runs nothing else starts at once.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer as TokenizerFile


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt as the encoders take it."""

    input_ids: NDArray[np.int64]
    """[1, L]"""
    attention_mask: NDArray[np.int64]
    """[1, L], 1 for real tokens."""
    num_tokens: int
    """Tokens of the whole prompt, with its end mark, before any cut."""
    is_truncated: bool


class Tokenizer(Protocol):
    """Text to tokens of a fixed length."""

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize one prompt."""
        ...


class PromptTokenizer:
    """Reads a folder's tokenizer.json."""

    def __init__(self, folder: Path, max_prompt_tokens: int) -> None:
        self._max_prompt_tokens = max_prompt_tokens
        self._tokenizer = TokenizerFile.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._end = self._tokenizer.token_to_id("<eos>")
        self._pad = self._tokenizer.token_to_id("<pad>")

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize, cut to the model's length, end with <eos> and pad."""
        words = self._tokenizer.encode(prompt.lower(), add_special_tokens=False).ids
        length = self._max_prompt_tokens
        kept = [*words[: length - 1], self._end]
        padding = length - len(kept)
        return TokenizedPrompt(
            input_ids=np.array([kept + [self._pad] * padding], np.int64),
            attention_mask=np.array([[1] * len(kept) + [0] * padding], np.int64),
            num_tokens=len(words) + 1,
            is_truncated=len(words) + 1 > length,
        )


def load_tokenizer(folder: Path) -> PromptTokenizer:
    """Open the tokenizer of toybox's weights."""
    index = json.loads((folder / "model_index.json").read_text())
    return PromptTokenizer(folder / "tokenizer", int(index["max_prompt_tokens"]))
