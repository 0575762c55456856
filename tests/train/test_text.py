"""The tokenizer knows the words of the world, and encoders keep what they learnt of them."""

import json
from pathlib import Path

import pytest
import torch
from tests.fixtures.random_family import write_random_family
from tokenizers import Tokenizer
from torch import Tensor

from telecine.engine.families.toybox import ToyboxFamily
from telecine.engine.text_encoders.tokenizer import PromptTokenizer
from train.captions import any_caption
from train.text import MAX_PROMPT_TOKENS, renew_tokenizer
from train.world import random_scene


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model's weights folder."""
    folder = tmp_path_factory.mktemp("weights")
    write_random_family(folder)
    return folder


def test_every_caption_fits_into_what_training_reads(weights: Path) -> None:
    tokenizer = PromptTokenizer(weights / "tokenizer", 4 * MAX_PROMPT_TOKENS)
    generator = torch.Generator().manual_seed(0)
    for _ in range(500):
        caption = any_caption(random_scene(generator, held_out=None), generator)
        assert tokenizer.encode(caption).attention_mask.sum() <= MAX_PROMPT_TOKENS, caption


def test_synonym_is_one_token(weights: Path) -> None:
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer" / "tokenizer.json"))
    assert tokenizer.encode("a crimson disc").tokens == ["Ġa", "Ġcrimson", "Ġdisc"]


@torch.no_grad()
def test_renewed_tokenizer_leaves_the_encoding_of_known_words(tmp_path: Path) -> None:
    write_random_family(tmp_path)
    ids = _renumber(tmp_path / "tokenizer" / "tokenizer.json")
    before = _encoded(tmp_path, "a red circle")
    renew_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer" / "tokenizer.json"))
    assert tokenizer.get_vocab() != ids
    for name, tensor in _encoded(tmp_path, "a red circle").items():
        torch.testing.assert_close(tensor, before[name], msg=name)


def _renumber(path: Path) -> dict[str, int]:
    """Give every token but the special ones another's number."""
    described = json.loads(path.read_text())
    vocabulary: dict[str, int] = described["model"]["vocab"]
    special = {token["content"] for token in described["added_tokens"]}
    words = [word for word in vocabulary if word not in special]
    numbers = [vocabulary[word] for word in words]
    vocabulary.update(zip(words, reversed(numbers), strict=True))
    path.write_text(json.dumps(described))
    return Tokenizer.from_file(str(path)).get_vocab()


def _encoded(weights: Path, prompt: str) -> dict[str, Tensor]:
    family = ToyboxFamily(weights)
    tokens = family.load_tokenizer().encode(prompt)
    ids, mask = torch.from_numpy(tokens.input_ids), torch.from_numpy(tokens.attention_mask)
    return {
        "t5": family.load_encoder("t5_encoder")(ids, mask),
        "clip": family.load_encoder("clip_encoder")(ids, mask),
    }
