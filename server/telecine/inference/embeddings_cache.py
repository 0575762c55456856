"""Encoded prompts, kept by their content: the same text and model are encoded once."""

import hashlib
from collections import OrderedDict
from dataclasses import replace
from typing import Protocol

import numpy as np
import structlog

from telecine.inference.requests import PromptEmbeds

_log = structlog.get_logger(__name__)


class PromptEncoder(Protocol):
    """What encodes a prompt where the cache does not have it; `TritonClient` does."""

    async def encode_prompt(self, model: str, prompt: str) -> PromptEmbeds:
        """Encode a prompt, or a negative one."""
        ...


class EmbeddingsCache:
    """Keeps what was used last, as much as fits.

    The key is a hash of the model's digest and the text, so other weights under the same name
    never get embeddings of the ones before.

    Attributes:
        num_lookups: how often something was asked for.
        num_hits: how often it was there.
    """

    def __init__(self, encoder: PromptEncoder, *, max_bytes: int) -> None:
        self._encoder = encoder
        self._max_bytes = max_bytes
        self._num_bytes = 0
        # Ordered by use, the longest time ago first.
        self._kept: OrderedDict[bytes, PromptEmbeds] = OrderedDict()
        self.num_lookups = 0
        self.num_hits = 0

    @property
    def num_bytes(self) -> int:
        """What the kept embeddings take."""
        return self._num_bytes

    async def encode(self, model: str, digest: str, prompt: str) -> PromptEmbeds:
        """Return a prompt encoded by the model of this digest.

        Raises what `TritonClient.encode_prompt` may, and then keeps nothing.
        """
        key = _key(digest, prompt)
        found = self._kept.get(key)
        embeds = found or _owned(await self._encoder.encode_prompt(model, prompt))
        self._keep(key, embeds)
        self.num_lookups += 1
        self.num_hits += found is not None
        _log.info(
            "prompt_encoded",
            model=model,
            is_cached=found is not None,
            hit_rate=round(self.num_hits / self.num_lookups, 3),
            cached_bytes=self._num_bytes,
        )
        return embeds

    def _keep(self, key: bytes, embeds: PromptEmbeds) -> None:
        if key not in self._kept:
            self._num_bytes += _size_of(embeds)
        self._kept[key] = embeds
        self._kept.move_to_end(key)
        while self._num_bytes > self._max_bytes:
            _, dropped = self._kept.popitem(last=False)
            self._num_bytes -= _size_of(dropped)


def _key(digest: str, prompt: str) -> bytes:
    # No digest holds a NUL, so no two pairs run together to the same bytes.
    return hashlib.sha256(f"{digest}\0{prompt}".encode()).digest()


def _owned(embeds: PromptEmbeds) -> PromptEmbeds:
    """Copies the tensors: a view would keep the whole message alive that it lies in."""
    tensors = {name: np.array(values) for name, values in embeds.tensors.items()}
    for values in tensors.values():
        values.flags.writeable = False
    return replace(embeds, tensors=tensors)


def _size_of(embeds: PromptEmbeds) -> int:
    return sum(values.nbytes for values in embeds.tensors.values())
