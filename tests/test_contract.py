"""The contract is clean by its own rules and can be had as one file."""

import subprocess
import sys
from pathlib import Path

import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from build_descriptor_set import build_descriptor_set
from telecine.v1 import (
    account_pb2,
    account_service_pb2,
    model_service_pb2,
    video_pb2,
    video_service_pb2,
    worker_service_pb2,
)

REPOSITORY = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("contract") / "telecine.binpb"
    build_descriptor_set(path)
    return path


def test_image_holds_every_file_with_its_imports_and_comments(image: Path) -> None:
    files = {file.name: file for file in FileDescriptorSet.FromString(image.read_bytes()).file}
    folder = REPOSITORY / "proto"
    ours = {str(path.relative_to(folder)) for path in folder.rglob("*.proto")}
    assert ours <= files.keys()
    for file in files.values():
        assert set(file.dependency) <= files.keys()
    for name in ours:
        assert any(location.leading_comments for location in files[name].source_code_info.location)


def test_protos_keep_the_lint_rules(image: Path) -> None:
    rules = REPOSITORY / "proto" / "buf.yaml"
    lint = subprocess.run(
        [BUF, "lint", image, "--config", rules], capture_output=True, text=True, check=False
    )
    assert lint.returncode == 0, lint.stdout


def test_every_request_field_says_how_it_may_be_set() -> None:
    files = [
        file.DESCRIPTOR
        for file in (video_service_pb2, model_service_pb2, worker_service_pb2, account_service_pb2)
    ]
    requests = [
        message
        for file in files
        for name, message in file.message_types_by_name.items()
        if name.endswith("Request") and not message.oneofs
    ]
    requests += [video_pb2.VideoSpec.DESCRIPTOR, video_pb2.Size.DESCRIPTOR]
    requests += [account_pb2.ApiKey.DESCRIPTOR]
    for message in requests:
        for field in message.fields:
            behaviors = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
            assert behaviors, f"{message.name}.{field.name}"
