"""Disks without room for checkpoints or for finished videos."""

from pathlib import Path

from small_disk import fill, small_disk

from telecine.client import AsyncClient
from telecine.inference.triton_server import TritonServer

from .conftest import Service, ServiceMaker
from .long_video import finished, start_long_video, undisturbed
from .waiting import is_notice, next_event


async def test_a_full_checkpoint_disk_costs_a_notice_and_no_video(
    service: Service, client: AsyncClient, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", num_bytes=4 << 20) as disk:
        service.start_worker(checkpoint_folder=disk)
        name = await start_long_video(client, at_step=2)
        ballast = fill(disk)
        await next_event(client.watch_video(name), is_notice("CHECKPOINT_NOT_WRITTEN"))
        video = await finished(client, name)
        ballast.unlink()
        assert video.artifacts == (await undisturbed(client)).artifacts
        service.stop()


async def test_a_finished_video_waits_for_room_in_the_object_store(
    make_service: ServiceMaker, triton_server: TritonServer, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", num_bytes=4 << 20) as disk:
        service = make_service(triton_server.grpc_url)
        service.storage_url = str(disk)
        service.start_worker()
        async with await service.start_gateway() as client:
            name = await start_long_video(client)
            ballast = fill(disk)
            await next_event(client.watch_video(name), is_notice("OBJECT_STORE_UNAVAILABLE"))
            ballast.unlink()
            video = await finished(client, name)
            assert video.attempt == 1
        service.stop()
