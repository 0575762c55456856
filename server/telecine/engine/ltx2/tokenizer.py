"""Prompts to Gemma's tokens, by the folder's own tokenizer."""

from pathlib import Path

import numpy as np

from telecine.engine.text_encoders.tokenizer import TokenizedPrompt

MAX_PROMPT_TOKENS = 1024


class GemmaTokenizer:
    """A folder's tokenizer; prompts are padded in front, as Gemma was trained."""

    def __init__(self, folder: Path, max_prompt_tokens: int) -> None:
        self._max_prompt_tokens = max_prompt_tokens
        # transformers takes seconds to import, and a denoiser's process wants the number alone.
        from transformers import AutoTokenizer  # noqa: PLC0415

        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    def encode(self, prompt: str) -> TokenizedPrompt:
        """Tokenize, cut to the model's length, and pad."""
        ids: list[int] = self._tokenizer(prompt.strip(), add_special_tokens=True).input_ids
        kept = ids[: self._max_prompt_tokens]
        padding = self._max_prompt_tokens - len(kept)
        pad = self._tokenizer.pad_token_id
        if pad is None:
            pad = self._tokenizer.eos_token_id
        return TokenizedPrompt(
            input_ids=np.array([[pad] * padding + kept], np.int64),
            attention_mask=np.array([[0] * padding + [1] * len(kept)], np.int64),
            num_tokens=len(ids),
            is_truncated=len(ids) > self._max_prompt_tokens,
        )


def load_tokenizer(folder: Path) -> GemmaTokenizer:
    """Open the tokenizer of LTX-2's weights."""
    return GemmaTokenizer(folder / "tokenizer", MAX_PROMPT_TOKENS)
