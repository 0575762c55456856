"""Gemma 3, and all its layers narrowed to one feature a token."""

from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer

from telecine.engine.ltx2.connectors import TextFeatures
from telecine.engine.text_encoders.tokenizer import TokenizedPrompt


class GemmaTokenizer:
    """A folder's tokenizer; prompts are padded in front, as Gemma was trained."""

    def __init__(self, folder: Path, max_prompt_tokens: int) -> None:
        self._max_prompt_tokens = max_prompt_tokens
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
            input_ids=torch.tensor([[pad] * padding + kept]),
            attention_mask=torch.tensor([[0] * padding + [1] * len(kept)]),
            num_tokens=len(ids),
            is_truncated=len(ids) > self._max_prompt_tokens,
        )


class GemmaEncoder(nn.Module):
    """A prompt's tokens to the features that both connectors start from."""

    def __init__(self, gemma: nn.Module, features: TextFeatures) -> None:
        super().__init__()
        self.gemma = gemma
        self.features = features

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L] int64 each -> video and audio_text_features [B, L, D], float32."""
        output = self.gemma(
            input_ids=input_ids,
            attention_mask=attention_mask,
            output_hidden_states=True,
            use_cache=False,
        )
        hidden_states = torch.stack(output.hidden_states, -1)
        video, audio = self.features(hidden_states, attention_mask)
        return video.float(), audio.float()
