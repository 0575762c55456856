"""Whether the gateway serves, for load balancers and orchestrators that ask by HTTP."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from telecine.api.health_service import HealthServicer


def add_health_route(app: FastAPI, health: HealthServicer) -> None:
    """Has an application answer `GET /health` as `grpc.health.v1` does; it needs no key."""

    async def answer(_request: Request) -> Response:
        status = "SERVING" if health.is_serving else "NOT_SERVING"
        return JSONResponse(
            {"status": status},
            status_code=200 if health.is_serving else 503,
            headers={"cache-control": "no-store"},
        )

    app.add_route("/health", answer, methods=["GET"], include_in_schema=False)
