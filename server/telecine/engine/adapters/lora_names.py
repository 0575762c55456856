"""Whose weights a LoRA file's tensor names mean, in the namings that such files have."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# By what stands before a module's name; the first that fits.
_PREFIXES = (
    ("transformer_2.", "transformer_2"),
    ("transformer.", "transformer"),
    ("diffusion_model.", ""),
    ("base_model.model.", ""),
    ("lora_transformer_", "transformer"),
    ("lora_unet_", ""),
    ("unet.", ""),
)
_KINDS = (
    (r"\.lora_A(?:\.default)?\.weight|\.lora_down\.weight|\.lora\.down\.weight", "down"),
    (r"\.lora_B(?:\.default)?\.weight|\.lora_up\.weight|\.lora\.up\.weight", "up"),
    (r"\.lora_B(?:\.default)?\.bias|\.diff_b", "bias"),
    (r"\.alpha", "alpha"),
    (r"\.diff", "difference"),
)
_KIND_PATTERN = re.compile("|".join(f"(?P<{kind}>{ends})$" for ends, kind in _KINDS))
# From the names in a diffusers folder to those that a model's authors use, which most adapters
# are published in.
_AUTHORS_NAMES = (
    # Wan
    (r"\.attn1\.to_out\.0$", ".self_attn.o"),
    (r"\.attn1\.to_([qkv])$", r".self_attn.\1"),
    (r"\.attn2\.to_out\.0$", ".cross_attn.o"),
    (r"\.attn2\.to_([qkv])$", r".cross_attn.\1"),
    (r"\.attn2\.add_([kv])_proj$", r".cross_attn.\1_img"),
    (r"\.ffn\.net\.0\.proj$", ".ffn.0"),
    (r"\.ffn\.net\.2$", ".ffn.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
    (r"^condition_embedder\.time_embedder\.linear_1$", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2$", "time_embedding.2"),
    (r"^condition_embedder\.text_embedder\.linear_1$", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2$", "text_embedding.2"),
    (r"^proj_out$", "head.head"),
    # LTX-2
    (r"^proj_in$", "patchify_proj"),
    (r"^audio_proj_in$", "audio_patchify_proj"),
    (r"^time_embed\.", "adaln_single."),
    (r"^audio_time_embed\.", "audio_adaln_single."),
    (r"^(audio_)?prompt_adaln\.", r"\1prompt_adaln_single."),
    (r"^av_cross_attn_video_scale_shift\.", "av_ca_video_scale_shift_adaln_single."),
    (r"^av_cross_attn_audio_scale_shift\.", "av_ca_audio_scale_shift_adaln_single."),
    (r"^av_cross_attn_video_a2v_gate\.", "av_ca_a2v_gate_adaln_single."),
    (r"^av_cross_attn_audio_v2a_gate\.", "av_ca_v2a_gate_adaln_single."),
)


class TensorPlace(NamedTuple):
    """What a tensor of a LoRA file is.

    Attributes:
        part: the part of the weights folder whose network is meant; empty where none is named.
        module: the layer, as the file calls it.
        kind: `down`, `up`, `bias`, `alpha` or `difference`.
    """

    part: str
    module: str
    kind: str


def place_of(name: str) -> TensorPlace | None:
    """Take a tensor's name apart; None where it is of no kind that a LoRA has."""
    found = _KIND_PATTERN.search(name)
    if found is None:
        return None
    module, part = split_part(name[: found.start()])
    return TensorPlace(part, module, str(found.lastgroup))


def split_part(module: str) -> tuple[str, str]:
    """The name without what stands before it, and the part that this names."""
    for prefix, part in _PREFIXES:
        if module.startswith(prefix):
            return module.removeprefix(prefix), part
    return module, ""


def names_by_alias(modules: Iterable[str]) -> Mapping[str, str]:
    """By each name that a layer has in some naming: the network's own.

    Some files write `_` for every dot.
    """
    own = tuple(modules)
    aliases: dict[str, str] = {}
    for name in own:
        for alias in {name, *_authors_names(name)}:
            aliases.setdefault(alias, name)
            aliases.setdefault(alias.replace(".", "_"), name)
    return aliases | {name: name for name in own}


def _authors_names(name: str) -> list[str]:
    renamed = (re.sub(pattern, replacement, name) for pattern, replacement in _AUTHORS_NAMES)
    return [each for each in renamed if each != name]
