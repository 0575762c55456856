"""The diffusion transformer: noisy latents and a prompt to a velocity."""

from dataclasses import dataclass

from torch import Tensor, nn

from telecine.engine.dit.adaln import Modulation, TimestepEmbedding, modulate
from telecine.engine.dit.attention import FULL_ATTENTION, TemporalMask
from telecine.engine.dit.block import BlockContext, DiTBlock
from telecine.engine.dit.patch_embed import PatchEmbed, unpatchify
from telecine.engine.dit.rotary import spatial_angles, temporal_angles


@dataclass(frozen=True)
class DiTConfig:
    """Sizes of the network; read from transformer/config.json of a weights folder."""

    in_channels: int = 24
    width: int = 192
    num_blocks: int = 8
    num_heads: int = 6
    mlp_ratio: float = 4.0
    patch_size: tuple[int, int, int] = (1, 2, 2)
    prompt_width: int = 192
    pooled_width: int = 192


class DiT(nn.Module):
    """Predicts the velocity `noise - clean` of a rectified flow (Liu et al. 2022)."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embed = PatchEmbed(config.in_channels, width, config.patch_size)
        self.time_embed = TimestepEmbedding(width, config.pooled_width)
        self.blocks = nn.ModuleList(
            DiTBlock(width, config.num_heads, config.prompt_width, config.mlp_ratio)
            for _ in range(config.num_blocks)
        )
        self.last_modulation = Modulation(width, 2)
        p, q, r = config.patch_size
        self.head = nn.Linear(width, config.in_channels * p * q * r)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompt_embeds: Tensor,
        pooled_prompt_embeds: Tensor,
        *,
        attention_mask: Tensor,
        temporal_mask: TemporalMask = FULL_ATTENTION,
    ) -> Tensor:
        """Latents [B, C, T, H, W], timesteps in 0..1 -> velocity [B, C, T, H, W].

        The timesteps are [B], or [B, T] where each latent frame has its own. The prompt
        comes as prompt_embeds [B, L, P], pooled_prompt_embeds [B, Q] and attention_mask
        [B, L], which is true for real tokens.
        """
        height, width = latents.shape[-2:]
        tokens = self.patch_embed(latents)
        if timesteps.ndim == 1:
            timesteps = timesteps[:, None].expand(-1, tokens.shape[1])
        _, rows, columns = self.config.patch_size
        head_dim = self.config.width // self.config.num_heads
        context = BlockContext(
            temb=self.time_embed(timesteps, pooled_prompt_embeds),
            prompt_embeds=prompt_embeds,
            attention_mask=attention_mask.bool(),
            spatial_rotary_emb=spatial_angles(
                height // rows, width // columns, head_dim, latents.device
            ),
            temporal_rotary_emb=temporal_angles(tokens.shape[1], head_dim, latents.device),
            temporal_mask=temporal_mask.allowed(tokens.shape[1], latents.device),
        )
        for block in self.blocks:
            tokens = block(tokens, context)
        shift, scale = self.last_modulation(context.temb)
        tokens = self.head(modulate(tokens, shift, scale))
        return unpatchify(tokens, self.config.patch_size, height, width)
