"""Whatever bytes a gRPC client sends, it has an answer or an error that says what is wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telecine.api.grpc_server import SERVICE_NAMES

OURS = grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL
STREAM_SECONDS = 0.2  # a watch of what does not change says nothing
LEAKS = ("Traceback", 'File "', "site-packages", "/objects", "redis")
METHODS: list[MethodDescriptor] = [
    method
    for name in SERVICE_NAMES
    for method in descriptor_pool.Default().FindServiceByName(name).methods
]
bounded = settings(
    max_examples=250,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

WHOLE = st.sampled_from([0, 1, -1, 5, 2**31 - 1, -(2**31)])
LONG = WHOLE | st.sampled_from([2**53 + 1, 2**63 - 1, -(2**63)])
REAL = st.sampled_from([0.0, -1.0, 0.5, 4.0, 1e-300, 3e38, float("inf"), float("nan")])
TEXT = st.sampled_from(
    [
        "", "a", "a red circle", "models/toybox", "videos/absent", "videos/..", "videos/../../x",
        "models/../toybox", "media/../videos", "workers/worker-1", "tenants/other", "default",
        "../../../etc/passwd", "video.mp4", "a\r\nset-cookie: b", "\x00", "\u202e\u200b",
        "\U0010ffff",
        "e" * 3000, "AAAA", "1-1", "euler", "videos:read", "http://127.0.0.1:1/",
        "apiKeys/" + "0" * 16,
    ]
)  # fmt: skip
NAME = TEXT | st.sampled_from(
    ["videos/absent", "models/toybox", "workers/worker-1", "tenants/other/usage", "tenants/other"]
)
VALUES = {
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: WHOLE,
    FieldDescriptor.TYPE_INT64: LONG,
    FieldDescriptor.TYPE_FLOAT: REAL,
    FieldDescriptor.TYPE_DOUBLE: REAL,
    FieldDescriptor.TYPE_ENUM: st.sampled_from([0, 1, 2, 3, 99, -1, 2**31 - 1]),
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=40),
}


def fill(draw: Callable[[Any], Any], message: Message, depth: int = 0) -> None:
    """Gives some of a message's fields values, extreme ones among them."""
    fields = list(message.DESCRIPTOR.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=6)) if fields else ():
        of_message = field.message_type
        if of_message is not None and of_message.GetOptions().map_entry:
            getattr(message, field.name)[draw(TEXT)] = draw(TEXT)
        elif of_message is None and field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(VALUES[field.type], max_size=3)))
        elif of_message is None:
            values = NAME if field.name == "name" else VALUES[field.type]
            setattr(message, field.name, draw(values))
        elif depth < 4:
            value = getattr(message, field.name)
            fill(draw, value.add() if field.is_repeated else value, depth + 1)


@st.composite
def requests(draw: Callable[[Any], Any]) -> tuple[MethodDescriptor, bytes]:
    """A method and a message of its request's type."""
    method = draw(st.sampled_from(METHODS))
    request = message_factory.GetMessageClass(method.input_type)()
    fill(draw, request)
    if any(field.name == "spec" for field in request.DESCRIPTOR.fields) and draw(st.booleans()):
        request.spec.prompt = "a red circle"  # or nearly all would end at this check
    if method.name == "UpdateQuota":  # not of the tenant that makes the other calls
        request.quota.name = "tenants/other/quota"
    return method, request.SerializeToString(deterministic=True)


@st.composite
def broken_requests(draw: Callable[[Any], Any]) -> tuple[MethodDescriptor, bytes]:
    """A method and any bytes, or a message's with some of them cut off, changed or added."""
    method, data = draw(requests())
    place = draw(st.integers(0, len(data)))
    return method, draw(
        st.one_of(
            st.binary(max_size=200),
            st.just(data[:place]),
            st.binary(min_size=1, max_size=3).map(
                lambda bytes_: data[:place] + bytes_ + data[place + 1 :]
            ),
        )
    )


async def error_of(
    channel: grpc.aio.Channel, method: MethodDescriptor, data: bytes
) -> grpc.aio.AioRpcError | None:
    """Makes a call with these bytes, and again where it takes a stream; returns how it failed."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    request: Any = iter([data, data]) if method.client_streaming else data
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
    }
    call: Any = kinds[method.client_streaming, method.server_streaming](path)(request)
    try:
        async with asyncio.timeout(STREAM_SECONDS if method.server_streaming else 20):
            await (call.read() if method.server_streaming else call)
    except grpc.aio.AioRpcError as error:
        return error
    except TimeoutError:
        assert method.server_streaming
    finally:
        call.cancel()
    return None


Explained = Callable[[grpc.aio.AioRpcError], Any]


@pytest.fixture
async def channel(gateway: Any) -> AsyncIterator[grpc.aio.Channel]:
    """A connection to a gateway, which takes good requests after all that was sent."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield channel
    assert (await gateway.create()).name


async def check_answer(
    channel: grpc.aio.Channel, explained: Explained, method: MethodDescriptor, data: bytes
) -> None:
    error = await error_of(channel, method, data)
    if error is not None:
        assert error.code() not in OURS, (method.full_name, data, error)
        refusal = explained(error)
        assert refusal.reason
        assert not any(leak in refusal.message for leak in LEAKS)


@bounded
@given(request_=requests())
async def test_any_message_is_answered_or_refused(
    channel: grpc.aio.Channel, explained: Explained, request_: tuple[MethodDescriptor, bytes]
) -> None:
    await check_answer(channel, explained, *request_)


@bounded
@given(request_=broken_requests())
async def test_any_bytes_are_answered_or_refused(
    channel: grpc.aio.Channel, explained: Explained, request_: tuple[MethodDescriptor, bytes]
) -> None:
    await check_answer(channel, explained, *request_)
