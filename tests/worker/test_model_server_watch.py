"""A model server that hangs."""

import asyncio
from dataclasses import dataclass

import pytest

from telecine.worker.interruptions import HandBack
from telecine.worker.model_server_watch import ModelServerWatch

PATIENCE_SECONDS = 0.2


@dataclass
class HangingTriton:
    """Answers, but never loads a model, as one does that hangs in its own crash."""

    is_answering: bool = True

    async def is_ready(self) -> bool:
        return self.is_answering

    async def repair(self, model: str) -> None:  # noqa: ARG002
        await asyncio.Event().wait()


async def test_server_that_hangs_in_a_repair_counts_as_away_until_it_is_another_one() -> None:
    triton = HangingTriton()
    watch = ModelServerWatch(
        triton,  # type: ignore[arg-type]
        patience_seconds=PATIENCE_SECONDS,
        draining=asyncio.Event(),
    )
    assert await watch.is_ready()
    async with asyncio.timeout(30.0):
        with pytest.raises(HandBack):
            await watch.wait_until_repaired("toybox")
    assert not await watch.is_ready()
    triton.is_answering = False
    assert not await watch.is_ready()
    triton.is_answering = True  # someone has started it again
    assert await watch.is_ready()


async def test_server_that_hung_is_tried_again_after_a_while() -> None:
    watch = ModelServerWatch(
        HangingTriton(),  # type: ignore[arg-type]
        patience_seconds=PATIENCE_SECONDS,
        draining=asyncio.Event(),
    )
    with pytest.raises(HandBack):
        await watch.wait_until_repaired("toybox")
    await asyncio.sleep(PATIENCE_SECONDS)
    assert await watch.is_ready()
