"""Prompts to T5's tokens, by the folder's own tokenizer."""

import json
from pathlib import Path

import numpy as np

from telecine.engine.text_encoders.tokenizer import TokenizedPrompt

MAX_PROMPT_TOKENS = 256


class MochiTokenizer:
    """Reads tokenizer.json or spiece.model.

    Args:
        folder: the tokenizer's.
        max_prompt_tokens: what longer prompts are cut to.
        is_empty_masked: whether of an empty prompt nothing is seen, not even its end mark.
    """

    def __init__(self, folder: Path, max_prompt_tokens: int, *, is_empty_masked: bool) -> None:
        self._max_prompt_tokens = max_prompt_tokens
        self._is_empty_masked = is_empty_masked
        # transformers takes seconds to import, and a denoiser's process wants the number alone.
        from transformers import AutoTokenizer  # noqa: PLC0415

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize, cut to the model's length with the end mark kept, and pad."""
        length = self._max_prompt_tokens
        ids = self._tokenizer(prompt, verbose=False).input_ids
        num_tokens = len(ids)
        kept = ids if num_tokens <= length else [*ids[: length - 1], ids[-1]]
        padding = length - len(kept)
        input_ids = np.array([kept + [self._tokenizer.pad_token_id] * padding], np.int64)
        attention_mask = np.array([[1] * len(kept) + [0] * padding], np.int64)
        if self._is_empty_masked and not prompt:
            input_ids, attention_mask = np.zeros_like(input_ids), np.zeros_like(input_ids)
        return TokenizedPrompt(input_ids, attention_mask, num_tokens, num_tokens > length)


def load_tokenizer(folder: Path) -> MochiTokenizer:
    """Open the tokenizer of Mochi's weights."""
    index = json.loads((folder / "model_index.json").read_text())
    return MochiTokenizer(
        folder / "tokenizer",
        MAX_PROMPT_TOKENS,
        is_empty_masked=bool(index.get("force_zeros_for_empty_prompt")),
    )
