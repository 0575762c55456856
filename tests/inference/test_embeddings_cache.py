"""The same prompt for the same model is encoded once, as Triton itself counts."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from tritonclient.grpc.aio import InferenceServerClient

from telecine.errors import ModelServerUnavailableError
from telecine.inference.embeddings_cache import EmbeddingsCache
from telecine.inference.requests import PromptEmbeds
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer

DIGEST, OTHER_DIGEST = "sha256:1", "sha256:2"
EMBEDS_BYTES = 4 * 8 * 4


class CountingEncoder:
    """Encodes a text as its length, and counts how often it was asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.is_away = False

    async def encode_prompt(self, model: str, prompt: str) -> PromptEmbeds:  # noqa: ARG002
        self.prompts.append(prompt)
        if self.is_away:
            raise ModelServerUnavailableError("away")
        values = np.full((4, 8), len(prompt), np.float32)
        return PromptEmbeds({"prompt_embeds": values}, len(prompt), 4, is_truncated=False)


@pytest.fixture
def encoder() -> CountingEncoder:
    return CountingEncoder()


def room_for(encoder: CountingEncoder, num_prompts: int) -> EmbeddingsCache:
    return EmbeddingsCache(encoder, max_bytes=num_prompts * EMBEDS_BYTES)


async def test_a_prompt_is_encoded_once_for_each_model(encoder: CountingEncoder) -> None:
    cache = room_for(encoder, 4)
    first = await cache.encode("toybox", DIGEST, "a red circle")
    again = await cache.encode("toybox", DIGEST, "a red circle")
    await cache.encode("toybox", OTHER_DIGEST, "a red circle")
    assert again is first
    assert encoder.prompts == ["a red circle"] * 2
    assert (cache.num_hits, cache.num_lookups) == (1, 3)


async def test_what_was_used_the_longest_time_ago_makes_room(encoder: CountingEncoder) -> None:
    cache = room_for(encoder, 2)
    for prompt in ("", "b", "", "c", "", "b"):
        await cache.encode("toybox", DIGEST, prompt)
    assert encoder.prompts == ["", "b", "c", "b"]
    assert cache.num_bytes == 2 * EMBEDS_BYTES


async def test_what_fits_nowhere_is_returned_and_not_kept(encoder: CountingEncoder) -> None:
    cache = EmbeddingsCache(encoder, max_bytes=EMBEDS_BYTES - 1)
    embeds = await cache.encode("toybox", DIGEST, "abc")
    assert embeds.tensors["prompt_embeds"][0, 0] == 3
    assert cache.num_bytes == 0


async def test_a_failure_is_not_kept(encoder: CountingEncoder) -> None:
    cache = room_for(encoder, 1)
    encoder.is_away = True
    with pytest.raises(ModelServerUnavailableError):
        await cache.encode("toybox", DIGEST, "abc")
    encoder.is_away = False
    assert (await cache.encode("toybox", DIGEST, "abc")).num_tokens == 3


async def test_cached_embeddings_cannot_be_changed_by_who_uses_them(
    encoder: CountingEncoder,
) -> None:
    embeds = await room_for(encoder, 1).encode("toybox", DIGEST, "abc")
    with pytest.raises(ValueError, match="read-only"):
        embeds.tensors["prompt_embeds"][:] = 0


@pytest.fixture
async def statistics(triton_server: TritonServer) -> AsyncIterator[InferenceServerClient]:
    client = InferenceServerClient(triton_server.grpc_url)
    yield client
    await client.close()


async def num_encodings(statistics: InferenceServerClient) -> int:
    """How many prompts the T5 encoder has been given since the server began.

    Triton counts a request after it was answered, so the count is read until it stands still.
    """
    counts = [-1]
    while len(counts) < 3 or len(set(counts[-3:])) > 1:
        answer = await statistics.get_inference_statistics("toybox__t5_encoder", as_json=True)
        counts.append(int(answer["model_stats"][0].get("inference_count", 0)))
        await asyncio.sleep(0.1)
    return counts[-1]


async def test_a_second_video_of_the_same_prompt_does_not_reach_the_encoder(
    triton_client: TritonClient, statistics: InferenceServerClient
) -> None:
    cache = EmbeddingsCache(triton_client, max_bytes=1 << 20)
    before = await num_encodings(statistics)
    for _ in range(2):  # two videos with guidance
        await cache.encode("toybox", DIGEST, "a red circle moves right")
        await cache.encode("toybox", DIGEST, "")
    assert await num_encodings(statistics) == before + 2
    await cache.encode("toybox", OTHER_DIGEST, "")
    assert await num_encodings(statistics) == before + 3


async def test_cached_embeddings_are_those_that_triton_gave(triton_client: TritonClient) -> None:
    cache = EmbeddingsCache(triton_client, max_bytes=1 << 20)
    prompt = "a blue star " * 20
    await cache.encode("toybox", DIGEST, prompt)
    cached = await cache.encode("toybox", DIGEST, prompt)
    fresh = await triton_client.encode_prompt("toybox", prompt)
    assert cached.tensors.keys() == fresh.tensors.keys()
    for name, values in fresh.tensors.items():
        np.testing.assert_array_equal(cached.tensors[name], values)
    assert cached.is_truncated
    assert (cached.num_tokens, cached.max_tokens) == (fresh.num_tokens, fresh.max_tokens)
