"""What Triton and gRPC raise, in the project's own errors."""

import grpc
import pytest
from tritonclient.utils import InferenceServerException

from telecine.errors import CheckpointError, ModelError, ModelServerUnavailableError
from telecine.inference.failures import translate

INTERNAL = "StatusCode.INTERNAL"


def test_dead_process_that_triton_names_is_known() -> None:
    message = "Stub process 'toybox__t5_encoder_0_0' is not healthy."
    error = translate(InferenceServerException(message, INTERNAL), called="toybox__prompt_encoder")
    assert isinstance(error, ModelServerUnavailableError)
    assert error.dead_model == "toybox__t5_encoder"


@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("Failed to obtain the health mutex.", INTERNAL),
        ("Stub process is not healthy.", INTERNAL),
        ("Deadline Exceeded", "StatusCode.DEADLINE_EXCEEDED"),
    ],
)
def test_dead_process_that_triton_does_not_name_is_of_the_model_called(
    message: str, status: str
) -> None:
    error = translate(InferenceServerException(message, status), called="toybox__prompt_encoder")
    assert isinstance(error, ModelServerUnavailableError)
    assert error.dead_model == "toybox__prompt_encoder"


def test_model_that_says_that_it_is_lost_is_to_be_loaded_anew() -> None:
    message = "ModelServerUnavailableError: lost a rank: rank 1 has ended with -9"
    error = translate(InferenceServerException(message, INTERNAL), called="toybox__dit_sampler")
    assert isinstance(error, ModelServerUnavailableError)
    assert error.dead_model == "toybox__dit_sampler"


def test_model_out_of_memory_is_loaded_anew_and_its_words_are_not_told() -> None:
    told = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"
    error = translate(InferenceServerException(told, INTERNAL), called="toybox__dit_sampler")
    assert isinstance(error, ModelServerUnavailableError)
    assert error.dead_model == "toybox__dit_sampler"
    assert "CUDA" not in error.message


def test_server_that_is_away_has_no_dead_model() -> None:
    error = translate(
        InferenceServerException("failed to connect", "StatusCode.UNAVAILABLE"), called="toybox__x"
    )
    assert isinstance(error, ModelServerUnavailableError)
    assert not error.dead_model


@pytest.mark.parametrize(
    ("code", "details"),
    [
        (grpc.StatusCode.INTERNAL, "Internal error from Core"),
        (grpc.StatusCode.UNKNOWN, "Stream removed"),
    ],
)
def test_stream_that_ends_with_its_server_is_no_fault_of_the_model(
    code: grpc.StatusCode, details: str
) -> None:
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details=details)
    assert isinstance(translate(error), ModelServerUnavailableError)
    wrapped = InferenceServerException(details, str(code))  # as the client wraps a plain call's
    assert isinstance(translate(wrapped), ModelServerUnavailableError)


def test_request_that_is_too_large_is_the_models_error() -> None:
    metadata = grpc.aio.Metadata()
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(translate(grpc.aio.AioRpcError(code, metadata, metadata)), ModelError)


def test_models_own_errors_are_its_own() -> None:
    assert isinstance(translate(InferenceServerException("ValueError: x", INTERNAL)), ModelError)
    error = translate(InferenceServerException("CheckpointError: corrupt", INTERNAL))
    assert isinstance(error, CheckpointError)
