"""What gateway.py compares the gateway with: a grpc.aio server whose handlers do nothing.

python scripts/bench/bare_grpc_server.py ADDRESS_FILE NUM_EVENTS
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import uvloop

from telecine.v1 import video_pb2, video_service_pb2_grpc

STEP = video_pb2.VideoEvent(
    event_id="1764000000000-0",
    step_finished=video_pb2.VideoEvent.StepFinished(
        step_index=1, num_inference_steps=1000, sigma=0.5
    ),
)


class BareServicer(video_service_pb2_grpc.VideoServiceServicer):
    """Answers with empty messages; each CancelVideo sends its events to all who watch."""

    def __init__(self, num_events: int) -> None:
        self._num_events = num_events
        self._go = asyncio.Event()

    async def CreateVideo(self, _request: Any, _context: Any) -> video_pb2.Video:
        """Answers."""
        return video_pb2.Video()

    async def GetVideo(self, _request: Any, _context: Any) -> video_pb2.Video:
        """Answers."""
        return video_pb2.Video()

    async def WatchVideo(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        """Yields one event now, the others when told to."""
        yield STEP
        await self._go.wait()
        for _ in range(self._num_events):
            yield STEP

    async def CancelVideo(self, _request: Any, _context: Any) -> video_pb2.Video:
        """Lets the watchers go."""
        self._go.set()
        self._go = asyncio.Event()
        return video_pb2.Video()


async def main(address_file: Path, num_events: int) -> None:
    """Serves until it is terminated."""
    server = grpc.aio.server()
    servicer: Any = BareServicer(num_events)
    video_service_pb2_grpc.add_VideoServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    draft = address_file.with_suffix(".tmp")
    draft.write_text(f"127.0.0.1:{port}\n")
    draft.replace(address_file)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
