"""Writes docs/openapi.json, what the HTTP edge serves at /openapi.json."""

import json
from pathlib import Path
from typing import cast

from telecine.api.gateway_parts import GatewayParts
from telecine.api.health_service import HealthServicer
from telecine.api.http_server import build_app
from telecine.config import GatewaySettings

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def document_text() -> str:
    """Returns the document of this version."""
    app = build_app(cast(GatewayParts, None), GatewaySettings(), HealthServicer(()))
    return json.dumps(app.openapi(), indent=2) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document_text())
