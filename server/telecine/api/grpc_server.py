"""The grpc.aio server: services, health, reflection, and the interceptors around them."""

import grpc
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from telecine.api.auth.auth_interceptor import AuthInterceptor
from telecine.api.error_interceptor import ErrorInterceptor
from telecine.api.gateway_parts import GatewayParts
from telecine.api.grpc_services import (
    AccountServicer,
    ModelServicer,
    VideoServicer,
    WorkerServicer,
)
from telecine.api.health_service import HealthServicer
from telecine.api.rate_limit_interceptor import RateLimitInterceptor
from telecine.api.rate_limiter import RateLimiter
from telecine.v1 import (
    account_service_pb2,
    account_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    video_service_pb2,
    video_service_pb2_grpc,
    worker_service_pb2,
    worker_service_pb2_grpc,
)

SERVICE_NAMES = (
    video_service_pb2.DESCRIPTOR.services_by_name["VideoService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name,
    account_service_pb2.DESCRIPTOR.services_by_name["AccountService"].full_name,
)
HANDSHAKE_MILLISECONDS = 10_000
KEEPALIVE_MILLISECONDS = 60_000
KEEPALIVE_ANSWER_MILLISECONDS = 20_000


def build_server(parts: GatewayParts, health_servicer: HealthServicer) -> grpc.aio.Server:
    """Returns a server with every service, not started and not bound."""
    server = grpc.aio.server(
        interceptors=[
            ErrorInterceptor(parts.open_streams),
            AuthInterceptor(parts.authenticator),
            *rate_limit_interceptors(parts.rate_limiter),
        ],
        options=[
            ("grpc.max_receive_message_length", parts.max_message_bytes),
            # A second gateway on the same port must fail, not take half of the calls.
            ("grpc.so_reuseport", 0),
            # Watchers are quiet for long: let them ping to keep their connections open.
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            # Connections that never begin, and those whose other end is gone without a word.
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MILLISECONDS),
            ("grpc.keepalive_time_ms", KEEPALIVE_MILLISECONDS),
            ("grpc.http2.max_pings_without_data", 0),
            # In this version `grpc.keepalive_timeout_ms` closes nothing on a server.
            ("grpc.http2.ping_timeout_ms", KEEPALIVE_ANSWER_MILLISECONDS),
        ],
    )
    video_service_pb2_grpc.add_VideoServiceServicer_to_server(VideoServicer(parts), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelServicer(parts), server)
    worker_service_pb2_grpc.add_WorkerServiceServicer_to_server(WorkerServicer(parts), server)
    account_service_pb2_grpc.add_AccountServiceServicer_to_server(AccountServicer(parts), server)
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    names = (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server


def rate_limit_interceptors(
    rate_limiter: RateLimiter | None,
) -> list[grpc.aio.ServerInterceptor]:
    """Returns what holds callers to their pace; nothing where the settings name none."""
    return [] if rate_limiter is None else [RateLimitInterceptor(rate_limiter)]
