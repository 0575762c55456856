"""How both clients connect, try again, and go on after a break."""

import json
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

import grpc

from telecine.client.credentials import ApiKey, TlsOptions, find_api_key
from telecine.client.errors import TelecineClientError, UnavailableError

ChannelT = TypeVar("ChannelT", grpc.Channel, grpc.aio.Channel)

MAX_MESSAGE_BYTES = 4 << 20
# gRPC repeats an upload as long as it still holds all that was sent. Other streams go on where
# they were (Resumption), and calls of one message are made again (Repetition).
UPLOAD_RETRY_POLICY = {
    "maxAttempts": 3,
    "initialBackoff": "0.2s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [{"service": "telecine.v1.VideoService", "method": "UploadMedia"}],
            "retryPolicy": UPLOAD_RETRY_POLICY,
        }
    ]
}
MAX_ATTEMPTS = 4
CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    # A silent network must not look like a quiet video: streams carry heartbeats besides.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # While gRPC waits to connect again, calls fail: the wait is shorter than that between tries.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
)


class AuthorizedChannel:
    """A channel whose calls carry a key: what stubs are made from, of either kind of channel."""

    def __init__(self, channel: Any, api_key: ApiKey) -> None:
        self._channel = channel
        self._api_key = api_key

    def __getattr__(self, kind: str) -> Any:
        make: Callable[..., Any] = getattr(self._channel, kind)
        return lambda *args, **options: self._authorized(make(*args, **options))

    def _authorized(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(request: Any, **options: Any) -> Any:
            key = self._api_key if isinstance(self._api_key, str) else self._api_key()
            # A key that was read from a file ends with its line.
            metadata = (("authorization", f"Bearer {key.strip()}"),) if key else ()
            return method(request, metadata=metadata, **options)

        return call


def open_channel(address: str, *, tls: TlsOptions | None) -> grpc.Channel:
    """Return a blocking channel."""
    if tls is None:
        return grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(address, tls.credentials(), options=CHANNEL_OPTIONS)


def open_async_channel(address: str, *, tls: TlsOptions | None) -> grpc.aio.Channel:
    """Return a channel of the running event loop."""
    if tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, tls.credentials(), options=CHANNEL_OPTIONS)


def authorized(channel: ChannelT, address: str, api_key: ApiKey | None) -> ChannelT:
    """Return a channel for stubs, whose calls carry the key given, or the one found."""
    key = find_api_key(address) if api_key is None else api_key
    return cast("ChannelT", AuthorizedChannel(channel, key))


class Resumption:
    """Decides after each break of a stream whether, and how soon, to go on.

    It gives up when the server has been away for `patience_seconds` in a row.
    """

    def __init__(self, patience_seconds: float) -> None:
        self.patience_seconds = patience_seconds
        self._waited_seconds = 0.0
        self._delay_seconds = 0.1

    def note_progress(self) -> None:
        """The stream brought something: the next break starts from nothing."""
        self._waited_seconds, self._delay_seconds = 0.0, 0.1

    def delay_after(self, error: TelecineClientError) -> float:
        """Seconds to wait before the stream is opened again.

        Raises:
            TelecineClientError: `error` itself, when going on is no use.
        """
        is_over = self._waited_seconds >= self.patience_seconds
        if is_over or not isinstance(error, UnavailableError):
            raise error
        told = min(error.retry_seconds or 0.0, 5.0)
        # Clients that lost the same server do not all come back in the same moment.
        delay = max(self._delay_seconds, told) * random.uniform(1.0, 1.25)
        self._waited_seconds += delay
        self._delay_seconds = min(2.0 * self._delay_seconds, 2.0)
        return delay


class Repetition:
    """Decides whether, and how soon, a call of one message is made again.

    Only what is safe to repeat may be: a call that makes something carries a request id.

    Args:
        timeout_seconds: the time for all tries together.
        max_attempts: 1 for a call that must not be made twice.
    """

    def __init__(self, timeout_seconds: float, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._deadline = time.monotonic() + timeout_seconds
        self._num_attempts_left = max_attempts
        self._resumption = Resumption(timeout_seconds)

    @property
    def left_seconds(self) -> float:
        """How long the next try may take."""
        return max(self._deadline - time.monotonic(), 0.0)

    def delay_after(self, error: TelecineClientError) -> float:
        """Seconds to wait before the next try.

        Raises:
            TelecineClientError: `error` itself, when there is none.
        """
        self._num_attempts_left -= 1
        delay = self._resumption.delay_after(error)
        if self._num_attempts_left <= 0 or delay >= self.left_seconds:
            raise error
        return delay
