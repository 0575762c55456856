"""Finds out who makes a gRPC call, and whether that caller may, before its method runs."""

from typing import Any

import grpc

from telecine.api.auth.authenticator import Authenticator
from telecine.api.auth.credentials import only_headers
from telecine.api.auth.method_scopes import require_scope_of
from telecine.api.caller import ANYONE, set_current_caller
from telecine.api.error_interceptor import Continuation, Handler

# They tell nothing of anyone's, and load balancers and tools bring no keys.
_OPEN_SERVICES = ("/grpc.health.v1.Health/", "/grpc.reflection.")


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Stands behind the ErrorInterceptor, which answers what a refusing handler raises."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """Returns the method's handler, or one of its kind that refuses the call."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return handler
        if method.startswith(_OPEN_SERVICES):
            set_current_caller(ANYONE)
            return handler
        try:
            headers = only_headers(handler_call_details.invocation_metadata)
            caller = await self._authenticator.authenticate(headers)
            require_scope_of(method, caller)
        except Exception as error:
            return _refusing(handler, error)
        # gRPC runs the method in the same context as its interceptors.
        set_current_caller(caller)
        return handler


def _refusing(handler: Handler, error: Exception) -> Handler:
    def refuse(_request: Any, _context: Any) -> Any:
        raise error

    return handler._replace(
        **{
            kind: refuse
            for kind in ("unary_unary", "unary_stream", "stream_unary")
            if getattr(handler, kind) is not None
        }
    )
