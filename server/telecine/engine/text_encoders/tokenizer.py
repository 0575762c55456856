"""The prompt's tokens, at the fixed length that the encoders take."""

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor


@dataclass(frozen=True)
class TokenizedPrompt:
    """A prompt as the encoders take it."""

    input_ids: Tensor
    """[1, L] int64"""
    attention_mask: Tensor
    """[1, L] int64, 1 for real tokens."""
    num_tokens: int
    """Tokens of the whole prompt, with its end mark, before any cut."""
    is_truncated: bool


class PromptTokenizer:
    """Reads a folder's tokenizer.json."""

    def __init__(self, folder: Path, max_prompt_tokens: int) -> None:
        self._max_prompt_tokens = max_prompt_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
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
            input_ids=torch.tensor([kept + [self._pad] * padding]),
            attention_mask=torch.tensor([[1] * len(kept) + [0] * padding]),
            num_tokens=len(words) + 1,
            is_truncated=len(words) + 1 > length,
        )
