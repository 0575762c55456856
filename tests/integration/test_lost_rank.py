"""A video whose sampler runs on several ranks, one of which is lost."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from rank_processes import are_gone, model_process, ranks_of

from telecine.inference.triton_server import TritonServer, TritonServerConfig

from .conftest import ServiceMaker
from .long_video import SLICE_STEPS, finished, num_steps_redone, start_long_video, undisturbed
from .waiting import until

SAMPLER = "toybox__dit_sampler"


@pytest.fixture
def triton_of_two_ranks(triton_repository: Path, tmp_path: Path) -> Iterator[TritonServer]:
    """A server of the shared repository's models, its sampler on two ranks."""
    repository = tmp_path / "repository"
    shutil.copytree(triton_repository, repository)
    with (repository / SAMPLER / "config.pbtxt").open("a") as config:
        config.write('parameters { key: "sequence_parallel_size" value { string_value: "2" } }\n')
    server = TritonServer(TritonServerConfig.on_free_ports(repository, tmp_path / "triton.log"))
    yield server
    server.stop()


@pytest.mark.slow
async def test_video_goes_on_with_a_new_group_and_ends_as_if_nothing_had_been(
    triton_of_two_ranks: TritonServer, make_service: ServiceMaker
) -> None:
    triton = triton_of_two_ranks
    await asyncio.to_thread(triton.start)
    service = make_service(triton.grpc_url)
    service.start_worker()
    async with await service.start_gateway() as client:
        name = await start_long_video(client)
        assert triton.pid is not None
        leader = model_process(triton.pid, SAMPLER)
        (rank,) = ranks_of(leader)
        os.kill(rank, signal.SIGKILL)
        video = await finished(client, name)
        assert video.attempt == 1
        assert await num_steps_redone(client, name) < SLICE_STEPS
        assert video.artifacts == (await undisturbed(client)).artifacts
        await until(lambda: are_gone([leader, rank]))  # Triton ends it a little later
        (rank,) = ranks_of(model_process(triton.pid, SAMPLER))
    await asyncio.to_thread(triton.stop)
    assert are_gone([rank])
