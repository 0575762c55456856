"""A video's turn on the GPU lane."""

import asyncio
from collections.abc import Callable


class GpuTurn:
    """Tells the claim loop when the next video may begin.

    Attributes:
        is_finishing: whether the video stays here when its turn is over, for the finishing
            lane to complete; it takes up a place until then.
        on_end: called once when it is over.
    """

    def __init__(self) -> None:
        self.is_finishing = False
        self.on_end: Callable[[], None] = lambda: None
        self._is_over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether the GPU is free for the next video."""
        return self._is_over.is_set()

    def end(self, *, is_finishing: bool = False) -> None:
        """The GPU is free; what is said of a turn that has ended changes nothing."""
        if not self.is_over:
            self.is_finishing = is_finishing
            self._is_over.set()
            self.on_end()

    async def wait(self) -> None:
        """Returns once the turn is over."""
        await self._is_over.wait()
