import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

from telecine import client
from telecine.client.errors import DETAILS_KEY, client_error


def _rpc_error(code: grpc.StatusCode, *details: object) -> grpc.aio.AioRpcError:
    status = status_pb2.Status(code=code.value[0], message="told")
    for detail in details:
        status.details.add().Pack(detail)
    metadata = grpc.aio.Metadata((DETAILS_KEY, status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details="told")


@pytest.mark.parametrize(
    ("code", "error_type"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, client.InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, client.NotFoundError),
        (grpc.StatusCode.ALREADY_EXISTS, client.AlreadyExistsError),
        (grpc.StatusCode.FAILED_PRECONDITION, client.VideoStateError),
        (grpc.StatusCode.UNIMPLEMENTED, client.NotImplementedYetError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, client.ResourceExhaustedError),
        (grpc.StatusCode.UNAVAILABLE, client.UnavailableError),
        (grpc.StatusCode.INTERNAL, client.TelecineClientError),
    ],
)
def test_each_code_has_its_error(
    code: grpc.StatusCode, error_type: type[client.TelecineClientError]
) -> None:
    error = client_error(_rpc_error(code))
    assert type(error) is error_type
    assert error.message == "told"


def test_details_become_attributes() -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(field="spec.prompt")
    error = client_error(
        _rpc_error(
            grpc.StatusCode.INVALID_ARGUMENT,
            error_details_pb2.ErrorInfo(reason="INVALID_FIELD", metadata={"log_id": "l1"}),
            error_details_pb2.BadRequest(field_violations=[violation]),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
        )
    )
    assert error.reason == "INVALID_FIELD"
    assert error.field == "spec.prompt"
    assert error.log_id == "l1"
    assert error.retry_seconds == 1.5


@pytest.mark.parametrize(
    ("reason", "error_type"),
    [
        ("EVENTS_TRIMMED", client.EventsTrimmedError),
        ("INVALID_FIELD", client.InvalidRequestError),
    ],
)
def test_out_of_range_is_a_trimmed_log_or_a_bad_field(
    reason: str, error_type: type[client.TelecineClientError]
) -> None:
    info = error_details_pb2.ErrorInfo(reason=reason)
    error = client_error(_rpc_error(grpc.StatusCode.OUT_OF_RANGE, info))
    assert type(error) is error_type
