"""The HTTP edge: REST, SSE and WebSocket, translated into calls of the service functions."""
