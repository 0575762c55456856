"""One block: each modality attends to itself, to the text and to the other modality."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from telecine.engine.ltx2.config import LTX2Config
from telecine.engine.ltx2.layers import Attention, FeedForward, KeysValues, modulate, rms_norm
from telecine.engine.ltx2.modulation import Modulation, shares
from telecine.engine.ltx2.rotary import RotaryTable, RotaryTables


class Tokens(NamedTuple):
    """Both modalities' tokens, [B, N, D] and [B, M, E]."""

    video: Tensor
    audio: Tensor


class TextKeysValues(NamedTuple):
    """What each modality reads of the text in one block."""

    video: KeysValues
    audio: KeysValues


class Rows(NamedTuple):
    """What differs between the rows of a batch, which are answers to one question.

    Attributes:
        prompts: which prompt each row reads.
        num_joint: rows, from the first, whose modalities see each other.
        skipped: the row without self-attention in some blocks; None where there is none.
    """

    prompts: tuple[int, ...]
    num_joint: int
    skipped: int | None = None


class LTX2Block(nn.Module):
    """Module names are those of the weights: the sound's begin with `audio_`."""

    def __init__(self, config: LTX2Config) -> None:
        super().__init__()
        self.norm_eps = config.norm_eps
        self.has_text_modulation = config.has_text_modulation
        self._add_attentions(config)
        self.ff = FeedForward(config.width, has_bias=config.ff_bias)
        self.audio_ff = FeedForward(config.audio_width, has_bias=config.audio_ff_bias)
        self._add_tables(config)

    def _add_attentions(self, config: LTX2Config) -> None:
        width, audio_width = config.width, config.audio_width
        own = config.num_attention_heads, config.attention_head_dim
        audio_own = config.audio_num_attention_heads, config.audio_attention_head_dim
        gated, audio_gated = config.gated_attn, config.audio_gated_attn
        text_width, audio_text_width = config.cross_attention_dim, config.audio_cross_attention_dim
        self.attn1 = Attention(width, width, own, is_gated=gated)
        self.audio_attn1 = Attention(audio_width, audio_width, audio_own, is_gated=audio_gated)
        self.attn2 = Attention(width, text_width, own, is_gated=gated)
        self.audio_attn2 = Attention(audio_width, audio_text_width, audio_own, is_gated=audio_gated)
        self.audio_to_video_attn = Attention(width, audio_width, audio_own, is_gated=gated)
        self.video_to_audio_attn = Attention(audio_width, width, audio_own, is_gated=audio_gated)

    def _add_tables(self, config: LTX2Config) -> None:
        def table(num_rows: int, width: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(num_rows, width))

        width, audio_width = config.width, config.audio_width
        self.scale_shift_table = table(config.num_block_parameters, width)
        self.audio_scale_shift_table = table(config.num_audio_block_parameters, audio_width)
        if config.has_text_modulation:
            self.prompt_scale_shift_table = table(2, width)
            self.audio_prompt_scale_shift_table = table(2, audio_width)
        self.video_a2v_cross_attn_scale_shift_table = table(5, width)
        self.audio_a2v_cross_attn_scale_shift_table = table(5, audio_width)

    def read_text(self, text: Tokens, modulation: Modulation | None = None) -> TextKeysValues:
        """Keys and values of the text, [P, L, D] and [P, L, E]; at one noise level or at all."""
        video, audio = text
        if self.has_text_modulation:
            timed, audio_timed = (
                (0.0, 0.0) if modulation is None else (modulation.text, modulation.audio_text)
            )
            video = modulate(video, *shares(self.prompt_scale_shift_table, timed))
            audio = modulate(audio, *shares(self.audio_prompt_scale_shift_table, audio_timed))
        return TextKeysValues(self.attn2.keys_values(video), self.audio_attn2.keys_values(audio))

    def forward(
        self,
        tokens: Tokens,
        text: TextKeysValues,
        modulation: Modulation,
        *,
        rotary: RotaryTables,
        rows: Rows,
    ) -> Tokens:
        """Both modalities' tokens -> the same shapes; `modulation` is of one noise level."""
        video, audio = tokens
        own = shares(self.scale_shift_table, modulation.block)
        audio_own = shares(self.audio_scale_shift_table, modulation.audio_block)
        skipped = rows.skipped
        video = self._attend_self(self.attn1, video, own, rotary.video, skipped=skipped)
        audio = self._attend_self(self.audio_attn1, audio, audio_own, rotary.audio, skipped=skipped)
        video = self._attend_text(self.attn2, video, text.video.rows(rows.prompts), own[6:])
        audio = self._attend_text(
            self.audio_attn2, audio, text.audio.rows(rows.prompts), audio_own[6:]
        )
        seen = self._attend_other(
            Tokens(video[: rows.num_joint], audio[: rows.num_joint]), modulation, rotary
        )
        video = torch.cat((seen.video, video[rows.num_joint :]))
        audio = torch.cat((seen.audio, audio[rows.num_joint :]))
        return Tokens(
            self._feed_forward(self.ff, video, own),
            self._feed_forward(self.audio_ff, audio, audio_own),
        )

    def _attend_self(
        self,
        attention: Attention,
        tokens: Tensor,
        parameters: tuple[Tensor, ...],
        rotary: RotaryTable,
        *,
        skipped: int | None,
    ) -> Tensor:
        shift, scale, gate = parameters[:3]
        hidden = modulate(rms_norm(tokens, self.norm_eps), shift, scale)
        context = attention.keys_values(hidden, rotary)
        return tokens + gate * attention(hidden, context, rotary, skipped_row=skipped)

    def _attend_text(
        self,
        attention: Attention,
        tokens: Tensor,
        text: KeysValues,
        parameters: tuple[Tensor, ...],
    ) -> Tensor:
        hidden = rms_norm(tokens, self.norm_eps)
        if not parameters:
            return tokens + attention(hidden, text)
        shift, scale, gate = parameters
        return tokens + gate * attention(modulate(hidden, shift, scale), text)

    def _attend_other(self, tokens: Tokens, modulation: Modulation, rotary: RotaryTables) -> Tokens:
        table = self.video_a2v_cross_attn_scale_shift_table
        audio_table = self.audio_a2v_cross_attn_scale_shift_table
        (gate,) = shares(table[4:], modulation.cross_gate)
        (audio_gate,) = shares(audio_table[4:], modulation.audio_cross_gate)
        video, audio = (rms_norm(each, self.norm_eps) for each in tokens)
        # Scale, then shift: first of what the picture does with the sound, then the reverse.
        video_parameters = shares(table[:4], modulation.cross)
        audio_parameters = shares(audio_table[:4], modulation.audio_cross)

        def steered(hidden: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
            scale, shift = parameters
            return modulate(hidden, shift, scale)

        heard = self.audio_to_video_attn.keys_values(
            steered(audio, audio_parameters[:2]), rotary.cross_audio
        )
        watched = self.video_to_audio_attn.keys_values(
            steered(video, video_parameters[2:]), rotary.cross_video
        )
        return Tokens(
            tokens.video
            + gate
            * self.audio_to_video_attn(
                steered(video, video_parameters[:2]), heard, rotary.cross_video
            ),
            tokens.audio
            + audio_gate
            * self.video_to_audio_attn(
                steered(audio, audio_parameters[2:]), watched, rotary.cross_audio
            ),
        )

    def _feed_forward(
        self, layers: FeedForward, tokens: Tensor, parameters: tuple[Tensor, ...]
    ) -> Tensor:
        shift, scale, gate = parameters[3:6]
        return tokens + gate * layers(modulate(rms_norm(tokens, self.norm_eps), shift, scale))
