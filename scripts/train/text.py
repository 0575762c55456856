"""The tokenizer and the two small text encoders, which are trained together with the DiT."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    logging,
)

from telecine.engine.dit.model import Prompt
from telecine.engine.families.toybox import ToyboxFamily, save_part
from telecine.engine.text_encoders.encoders import CLIPTextEncoder, T5Encoder
from telecine.engine.text_encoders.projection import TextProjection, TextProjectionConfig
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.captions import rich_caption
from train.device import device
from train.pair import random_pair
from train.world import all_captions, caption, random_face, random_scene

MAX_PROMPT_TOKENS = 32
VOCABULARY = 1024
_RICH_CAPTIONS = 4000
WIDTH, NUM_LAYERS, NUM_HEADS = 128, 2, 4
PAD, BEGIN, UNKNOWN, END = "<pad>", "<bos>", "<unk>", "<eos>"

logging.set_verbosity_error()


def load_text(weights: Path) -> tuple[PromptTokenizer, "TextEncoders"]:
    """What reads prompts, as it was trained."""
    text = TextEncoders().to(device())
    text.load(weights)
    return PromptTokenizer(weights / "tokenizer", MAX_PROMPT_TOKENS), text


def train_tokenizer(weights: Path) -> None:
    """Byte-level BPE over captions: a token a word there, and bytes for any other text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BEGIN, UNKNOWN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_captions_to_learn(), trainer)
    folder = weights / "tokenizer"
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"pad_token": PAD, "bos_token": BEGIN, "unk_token": UNKNOWN, "eos_token": END}
    described = {"tokenizer_class": "PreTrainedTokenizerFast", **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")


def renew_tokenizer(weights: Path) -> None:
    """Train the tokenizer anew; the encoders keep what they know of tokens it still has."""
    text = TextEncoders()
    text.load(weights)
    before = Tokenizer.from_file(str(weights / "tokenizer" / "tokenizer.json")).get_vocab()
    train_tokenizer(weights)
    after = Tokenizer.from_file(str(weights / "tokenizer" / "tokenizer.json")).get_vocab()
    kept = sorted(before.keys() & after.keys())
    for encoder in (text.t5, text.clip):
        table = encoder.model.get_input_embeddings().weight.data
        known = table[[before[token] for token in kept]]
        table.copy_(table[torch.randint(len(before), (len(table),))])
        table[[after[token] for token in kept]] = known
    text.save(weights)


def _captions_to_learn() -> Iterator[str]:
    """Plain and rich ones, of one shape, of two, and of faces."""
    yield from all_captions()
    generator = torch.Generator().manual_seed(0)
    for _ in range(_RICH_CAPTIONS):
        yield rich_caption(random_scene(generator, held_out=None), generator)
        pair = random_pair(generator)
        yield rich_caption(pair.moving, generator, beside=pair.beside)
        face = random_face(generator)
        yield rich_caption(face, generator)
        yield caption(face, generator)


class TextEncoders(nn.Module):
    """T5, CLIP and the projection, as one module to train."""

    def __init__(self) -> None:
        super().__init__()
        t5_config = T5Config(
            vocab_size=VOCABULARY,
            d_model=WIDTH,
            d_kv=WIDTH // NUM_HEADS,
            d_ff=2 * WIDTH,
            num_layers=NUM_LAYERS,
            num_heads=NUM_HEADS,
            dropout_rate=0.0,
            feed_forward_proj="gated-gelu",
            pad_token_id=0,
            eos_token_id=3,
        )
        clip_config = CLIPTextConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=NUM_LAYERS,
            num_attention_heads=NUM_HEADS,
            max_position_embeddings=MAX_PROMPT_TOKENS,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=3,
        )
        for config in (t5_config, clip_config):
            config._attn_implementation = "eager"
        self.t5 = T5Encoder(T5EncoderModel(t5_config))
        self.clip = CLIPTextEncoder(CLIPTextModelWithProjection(clip_config))
        self.projection = TextProjection(TextProjectionConfig())

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """[B, L] each -> prompt_embeds [B, L, P], pooled_prompt_embeds [B, Q]."""
        hidden = self.t5(input_ids, attention_mask)
        pooled = self.clip(input_ids, attention_mask)
        prompt_embeds, pooled_prompt_embeds = self.projection(hidden, pooled)
        return prompt_embeds, pooled_prompt_embeds

    @torch.no_grad()
    def prompt(self, input_ids: Tensor, attention_mask: Tensor) -> Prompt:
        """[B, L] each -> the encoded prompts, for networks that learn while the encoders do not."""
        return Prompt(*self(input_ids, attention_mask), attention_mask.bool())

    def load(self, weights: Path) -> None:
        """Undo `save`."""
        family = ToyboxFamily(weights)
        self.t5.load_state_dict(family.load_encoder("t5_encoder").state_dict())
        self.clip.load_state_dict(family.load_encoder("clip_encoder").state_dict())
        self.projection.load_state_dict(family.load_encoder("text_projection").state_dict())

    def save(self, weights: Path) -> None:
        """Write text_encoder/, text_encoder_2/ and text_projection/."""
        for encoder, name in ((self.t5, "text_encoder"), (self.clip, "text_encoder_2")):
            copy.deepcopy(encoder.model).to(torch.bfloat16).save_pretrained(weights / name)
        save_part(self.projection, TextProjectionConfig(), weights / "text_projection")
