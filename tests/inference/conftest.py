"""A client of the session's Triton server, and requests to it."""

from collections.abc import AsyncIterator
from dataclasses import replace

import numpy as np
import pytest

from telecine.inference.requests import PromptEmbeds, SliceRequest
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer

MAX_PROMPT_TOKENS, PROMPT_WIDTH = 32, 192


@pytest.fixture
async def triton_client(triton_server: TritonServer) -> AsyncIterator[TritonClient]:
    client = TritonClient(triton_server.grpc_url, stream_timeout_seconds=20.0)
    yield client
    await client.close()


@pytest.fixture
async def client(server: TritonServer) -> AsyncIterator[TritonClient]:
    """A client of the test module's own server."""
    opened = TritonClient(server.grpc_url, stream_timeout_seconds=60.0)
    yield opened
    await opened.close()


def random_prompt(seed: int) -> PromptEmbeds:
    generator = np.random.default_rng(seed)
    return PromptEmbeds(
        tensors={
            "prompt_embeds": generator.standard_normal(
                (MAX_PROMPT_TOKENS, PROMPT_WIDTH), np.float32
            ),
            "pooled_prompt_embeds": generator.standard_normal(PROMPT_WIDTH, np.float32),
            "attention_mask": (np.arange(MAX_PROMPT_TOKENS) < 7).astype(np.int64),
        },
        num_tokens=7,
        max_tokens=MAX_PROMPT_TOKENS,
        is_truncated=False,
    )


@pytest.fixture
def slice_request() -> SliceRequest:
    """The whole of a small video in one slice, with guidance."""
    return SliceRequest(
        prompt=random_prompt(1),
        negative_prompt=random_prompt(2),
        seed=5,
        num_inference_steps=4,
        guidance_scale=4.3,
        sampler="euler",
        num_frames=9,
        height=64,
        width=64,
        fps=16,
        attention="full",
        state=b"",
        num_steps=4,
    )


@pytest.fixture
def endless_request(slice_request: SliceRequest) -> SliceRequest:
    """A slice that takes longer than any test, of steps of some 0.1 s.

    That is far longer than news of a cancel takes.
    """
    return replace(
        slice_request,
        num_inference_steps=100_000,
        num_steps=100_000,
        num_frames=33,
        height=384,
        width=384,
    )
