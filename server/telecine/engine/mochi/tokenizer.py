"""Prompts to T5's tokens, by the folder's own tokenizer."""

from pathlib import Path

import torch
from transformers import AutoTokenizer

from telecine.engine.text_encoders.tokenizer import TokenizedPrompt


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
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize, cut to the model's length with the end mark kept, and pad."""
        length = self._max_prompt_tokens
        ids = self._tokenizer(prompt, verbose=False).input_ids
        num_tokens = len(ids)
        kept = ids if num_tokens <= length else [*ids[: length - 1], ids[-1]]
        padding = length - len(kept)
        input_ids = torch.tensor([kept + [self._tokenizer.pad_token_id] * padding])
        attention_mask = torch.tensor([[1] * len(kept) + [0] * padding])
        if self._is_empty_masked and not prompt:
            input_ids, attention_mask = torch.zeros_like(input_ids), torch.zeros_like(input_ids)
        return TokenizedPrompt(input_ids, attention_mask, num_tokens, num_tokens > length)
