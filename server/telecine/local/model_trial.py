"""One small step of a new model, before it is served."""

import asyncio
from pathlib import Path

from telecine.errors import TelecineError
from telecine.inference.smoke_test import smoke_test
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig
from telecine.v1 import model_pb2

_SMOKE_SECONDS = 1800.0


class TrialFailedError(Exception):
    """The model does not make a video; the message says why, and names Triton's log."""


def try_out(repository: Path, name: str, card: model_pb2.Model, *, log: Path) -> None:
    """With a Triton server of its own: what fails here disturbs nothing that runs.

    Raises:
        TrialFailedError: it makes no step.
    """
    config = TritonServerConfig.on_free_ports(repository, log, loads_models=False)

    async def make_a_step(grpc_url: str) -> None:
        triton = TritonClient(grpc_url, stream_timeout_seconds=_SMOKE_SECONDS)
        try:
            await smoke_test(triton, name, card)
        finally:
            await triton.close()

    try:
        with TritonServer(config) as server:
            asyncio.run(make_a_step(server.grpc_url))
    except TelecineError as error:
        raise TrialFailedError(f"{name} does not make a video: {error}; see {log}") from error
