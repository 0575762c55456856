"""The official Node client, unmodified, against a gateway; the test acts as the worker."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

from npm_packages import npm_folder

SCRIPT = Path(__file__).with_name("openai_client.mjs")


async def test_every_method_of_the_node_client_works(gateway: Any, tmp_path: Path) -> None:
    folder = await asyncio.to_thread(npm_folder, "openai@6.49.0")
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    shutil.copy(SCRIPT, tmp_path)
    video = await gateway.create()
    await gateway.finish(await gateway.claim(), b"mp4", thumbnail=b"thumbnail")
    process = await asyncio.create_subprocess_exec(
        *("node", SCRIPT.name, gateway.http_url, video.name.removeprefix("videos/")),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    assert (process.returncode, told.decode()) == (0, "ok\n")
