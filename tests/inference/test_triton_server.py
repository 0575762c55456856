"""What the worker sees when Triton or a model's process dies, and that it can go on."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from model_processes import model_processes
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.grpc.aio import InferenceServerClient as InferenceServerAioClient

from telecine.errors import ModelServerUnavailableError
from telecine.inference.model_loader import ModelLoader
from telecine.inference.requests import SliceRequest
from telecine.inference.shared_memory import SHARED_MEMORY_FOLDER
from telecine.inference.triton_client import TritonClient
from telecine.inference.triton_server import TritonServer, TritonServerConfig

# A process that dies while it hands over a response can take all of Triton with it.
WELL_INTO_A_STEP_SECONDS = 0.05


@pytest.fixture(scope="module")
def server(
    triton_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TritonServer]:
    """A server of this module's own, to break."""
    log_file = tmp_path_factory.mktemp("triton") / "triton.log"
    with TritonServer(TritonServerConfig.on_free_ports(triton_repository, log_file)) as server:
        yield server


def find_stub(server: TritonServer, role: str) -> int:
    return model_processes(server)[role]


async def until_ready(client: TritonClient) -> None:
    for _ in range(100):
        if await client.is_ready():
            return
        await asyncio.sleep(0.1)


def has_ended(process_id: int) -> bool:
    """Whether a process is gone, or only waits for its parent to read its exit status."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


async def count_steps(client: TritonClient, request: SliceRequest) -> int:
    return len([result async for result in client.denoise_slice("toybox", request)])


async def test_sampler_killed_in_a_slice_is_noticed_and_repaired(
    server: TritonServer,
    client: TritonClient,
    slice_request: SliceRequest,
    endless_request: SliceRequest,
) -> None:
    with pytest.raises(ModelServerUnavailableError) as raised:
        async for result in client.denoise_slice("toybox", endless_request):
            if result.step_index == 2:
                await asyncio.sleep(WELL_INTO_A_STEP_SECONDS)
                os.kill(find_stub(server, "dit_sampler"), signal.SIGKILL)
    assert raised.value.dead_model == "toybox__dit_sampler"
    await client.repair("toybox")
    assert await count_steps(client, slice_request) == 4


async def test_sampler_killed_while_idle_is_noticed_and_repaired(
    server: TritonServer, client: TritonClient, slice_request: SliceRequest
) -> None:
    os.kill(find_stub(server, "dit_sampler"), signal.SIGKILL)
    with pytest.raises(ModelServerUnavailableError):
        await count_steps(client, slice_request)
    await client.repair("toybox")
    assert await count_steps(client, slice_request) == 4


@pytest.mark.parametrize("role", ["tokenizer", "t5_encoder", "text_projection"])
async def test_killed_encoder_is_noticed_and_repaired(
    server: TritonServer, client: TritonClient, role: str
) -> None:
    os.kill(find_stub(server, role), signal.SIGKILL)
    with pytest.raises(ModelServerUnavailableError):
        await client.encode_prompt("toybox", "a red circle")
    await client.repair("toybox")
    assert (await client.encode_prompt("toybox", "a red circle")).num_tokens > 1


async def test_encoder_found_dead_without_its_name_is_repaired(
    server: TritonServer, client: TritonClient
) -> None:
    os.kill(find_stub(server, "clip_encoder"), signal.SIGKILL)
    loader = ModelLoader(InferenceServerAioClient(server.grpc_url))
    with pytest.raises(ModelServerUnavailableError), loader.watching():
        raise ModelServerUnavailableError("not named", dead_model="toybox__prompt_encoder")
    await loader.reload_dead("toybox")
    assert (await client.encode_prompt("toybox", "a red circle")).num_tokens > 1


async def test_silent_stream_counts_as_dead(
    server: TritonServer, client: TritonClient, endless_request: SliceRequest
) -> None:
    impatient = TritonClient(server.grpc_url, stream_timeout_seconds=0.5)
    process_id = find_stub(server, "dit_sampler")
    with pytest.raises(ModelServerUnavailableError, match="silent"):
        async for result in impatient.denoise_slice("toybox", endless_request):
            if result.step_index == 2:
                os.kill(process_id, signal.SIGSTOP)
    os.kill(process_id, signal.SIGCONT)
    await impatient.repair("toybox")
    await impatient.close()


async def test_killed_server_is_noticed_and_works_again_after_its_restart(
    server: TritonServer,
    client: TritonClient,
    slice_request: SliceRequest,
    endless_request: SliceRequest,
) -> None:
    with pytest.raises(ModelServerUnavailableError):
        async for result in client.denoise_slice("toybox", endless_request):
            if result.step_index == 2:
                server.kill()
    assert not await client.is_ready()
    with pytest.raises(ModelServerUnavailableError):
        await client.encode_prompt("toybox", "a red circle")
    with pytest.raises(ModelServerUnavailableError):
        await client.repair("toybox")
    server.start()
    await until_ready(client)
    assert await count_steps(client, slice_request) == 4


def test_stopped_server_leaves_no_process_and_no_shared_memory(
    triton_repository: Path, tmp_path: Path
) -> None:
    server = TritonServer(
        TritonServerConfig.on_free_ports(triton_repository, tmp_path / "triton.log")
    )
    server.start()
    stub = find_stub(server, "dit_sampler")
    server.stop()
    assert not server.is_running
    assert has_ended(stub)
    assert not list(SHARED_MEMORY_FOLDER.glob(f"{server.region_prefix}*"))


def test_server_that_hangs_in_its_crash_is_ended(triton_repository: Path, tmp_path: Path) -> None:
    config = TritonServerConfig.on_free_ports(triton_repository, tmp_path / "triton.log")
    with TritonServer(config) as server:
        assert not server.end_if_crashed()
        with config.log_file.open("ab") as log:  # as Triton's own handler of signals does
            log.write(b"Signal (6) received.\n")
        assert server.end_if_crashed()
        assert not server.is_running
        assert not server.end_if_crashed()
        server.launch()
        assert not server.end_if_crashed()  # what an earlier life has logged


def test_server_that_ends_before_it_is_ready_is_started_again(
    triton_repository: Path, tmp_path: Path
) -> None:
    config = TritonServerConfig.on_free_ports(triton_repository, tmp_path / "triton.log")
    server = TritonServer(config)
    server.launch()
    try:
        assert server.pid is not None
        os.kill(first := server.pid, signal.SIGKILL)
        server.wait_until_ready(120.0)
        assert server.pid not in {None, first}
    finally:
        server.stop()


def test_server_that_always_ends_at_its_start_says_why(
    tmp_path: Path,
) -> None:
    (tmp_path / "nothing").mkdir()
    config = TritonServerConfig.on_free_ports(tmp_path / "nothing", tmp_path / "triton.log")
    with socket.socket() as other:
        other.bind(("127.0.0.1", config.grpc_port))
        other.listen()
        with pytest.raises(ModelServerUnavailableError, match=r"(?s)status 1: .*already in use"):
            TritonServer(config).start()


def test_server_that_cannot_load_a_model_says_why(tmp_path: Path) -> None:
    model = tmp_path / "repository" / "broken"
    (model / "1").mkdir(parents=True)
    (model / "config.pbtxt").write_text('name: "broken" backend: "python"')
    (model / "1" / "model.py").write_text("raise RuntimeError('out of order')")
    config = TritonServerConfig.on_free_ports(model.parent, tmp_path / "triton.log")
    with pytest.raises(ModelServerUnavailableError, match="out of order"):
        TritonServer(config).start()


def test_plain_tritonserver_serves_the_repository_with_no_process_of_ours(
    triton_repository: Path, tmp_path: Path
) -> None:
    config = TritonServerConfig.on_free_ports(triton_repository, tmp_path / "triton.log")
    command = [
        sys.executable,
        "-m",
        "telecine.inference.triton_installation",
        f"--model-repository={triton_repository}",
        f"--grpc-port={config.grpc_port}",
        f"--http-port={config.http_port}",
        f"--metrics-port={config.metrics_port}",
        "--exit-timeout-secs=3",
    ]
    with config.log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        watcher = TritonServer(config)
        while not watcher.is_ready():
            assert process.poll() is None, config.log_file.read_text()
            time.sleep(0.05)
        client = InferenceServerClient(watcher.grpc_url)
        prompt = InferInput("prompt", [2, 1], "BYTES")
        prompt.set_data_from_numpy(np.array([[b"a red circle"], [b"a blue square"]], np.object_))
        result = client.infer("toybox__prompt_encoder", [prompt])
        assert result.as_numpy("prompt_embeds").shape == (2, 32, 192)
        client.close()
    finally:
        process.terminate()
        process.wait(20)
