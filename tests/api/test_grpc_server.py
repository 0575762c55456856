"""Any client works unaided: reflection, health, and every method answered."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from telecine.api.grpc_server import SERVICE_NAMES
from telecine.api.grpc_services import (
    AccountServicer,
    ModelServicer,
    VideoServicer,
    WorkerServicer,
)
from telecine.v1 import (
    account_service_pb2,
    model_service_pb2,
    video_service_pb2,
    worker_service_pb2,
)

SERVICE_FILES = (video_service_pb2, model_service_pb2, worker_service_pb2, account_service_pb2)

BUF = Path(sys.executable).parent / "buf"


async def buf_curl(address: str, *arguments: str) -> tuple[int, str]:
    """Runs `buf curl` against the gateway; it knows the contract by reflection alone."""
    *flags, path = arguments
    process = await asyncio.create_subprocess_exec(
        *(str(BUF), "curl", "--http2-prior-knowledge", "--protocol", "grpc"),
        *flags,
        f"http://{address}{path}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_reflection_lists_every_method(gateway: Any) -> None:
    _, output = await buf_curl(gateway.address, "--list-methods", "")
    for file in SERVICE_FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                assert f"{service.full_name}/{method.name}" in output
    assert "grpc.health.v1.Health/Check" in output


async def test_video_is_made_by_reflection_alone(gateway: Any) -> None:
    code, output = await buf_curl(
        gateway.address,
        *("-d", '{"spec": {"prompt": "a red circle", "seed": 7}}'),
        "/telecine.v1.VideoService/CreateVideo",
    )
    assert code == 0
    video = json.loads(output)
    assert video["state"] == "STATE_QUEUED"
    assert video["spec"]["seed"] == "7"


async def test_refusal_is_readable_by_reflection(gateway: Any) -> None:
    code, output = await buf_curl(
        gateway.address, "-d", '{"spec": {}}', "/telecine.v1.VideoService/CreateVideo"
    )
    assert code == 8 * grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert "spec.prompt" in output


@pytest.mark.parametrize("service", ["", *SERVICE_NAMES])
async def test_health_answers_for_the_server_and_each_service(gateway: Any, service: str) -> None:
    request = json.dumps({"service": service})
    _, output = await buf_curl(gateway.address, "-d", request, "/grpc.health.v1.Health/Check")
    assert json.loads(output) == {"status": "SERVING"}


async def test_health_does_not_know_other_services(gateway: Any) -> None:
    code, _ = await buf_curl(
        gateway.address, "-d", '{"service": "x.Y"}', "/grpc.health.v1.Health/Check"
    )
    assert code == 8 * grpc.StatusCode.NOT_FOUND.value[0]


def test_every_method_of_the_contract_is_implemented() -> None:
    for servicer, file in (
        (VideoServicer, video_service_pb2),
        (ModelServicer, model_service_pb2),
        (WorkerServicer, worker_service_pb2),
        (AccountServicer, account_service_pb2),
    ):
        (service,) = file.DESCRIPTOR.services_by_name.values()
        for method in service.methods:
            assert method.name in vars(servicer)
