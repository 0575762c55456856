"""The joint transformer: tokens of a noisy video and of its noisy sound -> both velocities."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from telecine.engine.linear import Linear
from telecine.engine.ltx2.block import LTX2Block, Rows, TextKeysValues, Tokens
from telecine.engine.ltx2.config import LTX2Config
from telecine.engine.ltx2.layers import TextProjection, TimestepModulation, modulate, waves
from telecine.engine.ltx2.modulation import Modulation, shares
from telecine.engine.ltx2.rotary import RotaryTables

_OUTPUT_EPS = 1e-6


class ReadText(NamedTuple):
    """Prompts, read as far as the noise level does not matter.

    Attributes:
        tokens: at each modality's width.
        by_block: keys and values for each block; empty where they are made anew each step.
    """

    tokens: Tokens
    by_block: tuple[TextKeysValues, ...]


class LTX2Transformer(nn.Module):
    """Loads a folder's transformer; module names are those of its weights."""

    def __init__(self, config: LTX2Config) -> None:
        super().__init__()
        self.config = config
        width, audio_width = config.width, config.audio_width
        self.proj_in = Linear(config.in_channels, width)
        self.audio_proj_in = Linear(config.audio_in_channels, audio_width)
        if config.use_prompt_embeddings:
            self.caption_projection = TextProjection(config.caption_channels, width)
            self.audio_caption_projection = TextProjection(config.caption_channels, audio_width)
        self._add_modulations(config)
        self.transformer_blocks = nn.ModuleList(LTX2Block(config) for _ in range(config.num_layers))
        self.scale_shift_table = nn.Parameter(torch.zeros(2, width))
        self.audio_scale_shift_table = nn.Parameter(torch.zeros(2, audio_width))
        self.proj_out = Linear(width, config.out_channels)
        self.audio_proj_out = Linear(audio_width, config.audio_out_channels)

    def _add_modulations(self, config: LTX2Config) -> None:
        width, audio_width = config.width, config.audio_width
        self.time_embed = TimestepModulation(width, config.num_block_parameters)
        self.audio_time_embed = TimestepModulation(audio_width, config.num_audio_block_parameters)
        self.av_cross_attn_video_scale_shift = TimestepModulation(width, 4)
        self.av_cross_attn_audio_scale_shift = TimestepModulation(audio_width, 4)
        self.av_cross_attn_video_a2v_gate = TimestepModulation(width, 1)
        self.av_cross_attn_audio_v2a_gate = TimestepModulation(audio_width, 1)
        if config.is_text_timed:
            self.prompt_adaln = TimestepModulation(width, 2)
            self.audio_prompt_adaln = TimestepModulation(audio_width, 2)

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.scale_shift_table.dtype

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.scale_shift_table.device

    def read_text(self, prompts: Tokens) -> ReadText:
        """Prompts [P, L, C] for each modality -> what blocks can know of them beforehand."""
        tokens = Tokens(*(each.to(self.dtype) for each in prompts))
        if self.config.use_prompt_embeddings:
            tokens = Tokens(
                self.caption_projection(tokens.video), self.audio_caption_projection(tokens.audio)
            )
        if self.config.is_text_timed:
            return ReadText(tokens, ())
        return ReadText(tokens, tuple(block.read_text(tokens) for block in self._blocks()))

    def modulation(self, sigmas: Sequence[float]) -> Modulation:
        """What every block is told at each of some noise levels."""
        config = self.config
        levels = torch.tensor(sigmas, dtype=torch.float32, device=self.device)
        timesteps = waves(levels * config.timestep_scale_multiplier).to(self.dtype)
        gate_timesteps = levels * config.cross_attn_timestep_scale_multiplier
        gate_timesteps = waves(gate_timesteps).to(self.dtype)
        block, output = self.time_embed(timesteps)
        audio_block, audio_output = self.audio_time_embed(timesteps)
        return Modulation(
            block=block,
            audio_block=audio_block,
            cross=self.av_cross_attn_video_scale_shift(timesteps)[0],
            audio_cross=self.av_cross_attn_audio_scale_shift(timesteps)[0],
            cross_gate=self.av_cross_attn_video_a2v_gate(gate_timesteps)[0],
            audio_cross_gate=self.av_cross_attn_audio_v2a_gate(gate_timesteps)[0],
            output=output[:, None],
            audio_output=audio_output[:, None],
            text=self.prompt_adaln(timesteps)[0] if config.is_text_timed else 0.0,
            audio_text=self.audio_prompt_adaln(timesteps)[0] if config.is_text_timed else 0.0,
        )

    def forward(
        self,
        latents: Tokens,
        text: ReadText,
        modulation: Modulation,
        *,
        rotary: RotaryTables,
        rows: Rows,
        skipping_blocks: frozenset[int] = frozenset(),
    ) -> Tokens:
        """Latents [1, N, C] of each modality -> velocities [B, N, C], one for each of `rows`.

        `modulation` is of one noise level. The row `rows.skipped` has no self-attention in
        `skipping_blocks`.
        """
        tokens = Tokens(
            self.proj_in(latents.video.to(self.dtype)).expand(len(rows.prompts), -1, -1),
            self.audio_proj_in(latents.audio.to(self.dtype)).expand(len(rows.prompts), -1, -1),
        )
        attending = rows._replace(skipped=None)
        for index, block in enumerate(self._blocks()):
            read = (
                text.by_block[index] if text.by_block else block.read_text(text.tokens, modulation)
            )
            tokens = block(
                tokens,
                read,
                modulation,
                rotary=rotary,
                rows=rows if index in skipping_blocks else attending,
            )
        video = _output(tokens.video, self.scale_shift_table, modulation.output)
        audio = _output(tokens.audio, self.audio_scale_shift_table, modulation.audio_output)
        return Tokens(self.proj_out(video), self.audio_proj_out(audio))

    def _blocks(self) -> Sequence[LTX2Block]:
        return self.transformer_blocks  # type: ignore[return-value]


def _output(tokens: Tensor, table: Tensor, parameters: Tensor) -> Tensor:
    normed = functional.layer_norm(tokens, tokens.shape[-1:], eps=_OUTPUT_EPS)
    shift, scale = shares(table, parameters)
    return modulate(normed, shift, scale)
