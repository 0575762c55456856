"""WebSocket connections whose refusals are no faults of the gateway."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class RefusingWebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's protocol, which takes a refusal by a response for an application that gave none."""

    async def send(self, message: Any) -> None:
        """Sends what the application has to say."""
        await super().send(message)
        # uvicorn 0.54 forgets this, and logs "returned without completing handshake" as an error.
        self.handshake_complete = self.handshake_complete or self.close_sent
