"""What door_watchers.py compares REST with: a FastAPI application whose handlers do nothing.

python scripts/bench/bare_http_server.py ADDRESS_FILE
"""

import socket
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.post("/v1/videos", status_code=202)
async def create_video() -> dict[str, str]:
    """Answers."""
    return {}


@app.get("/v1/videos/{video_id}")
async def retrieve_video(video_id: str) -> dict[str, str]:
    """Answers."""
    return {"id": video_id}


def main(address_file: Path) -> None:
    """Serves until it is terminated."""
    listener = socket.create_server(("127.0.0.1", 0))
    draft = address_file.with_suffix(".tmp")
    draft.write_text(f"127.0.0.1:{listener.getsockname()[1]}\n")
    draft.replace(address_file)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run([listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
