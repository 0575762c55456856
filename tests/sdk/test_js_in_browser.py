"""The JavaScript client's entry for browsers, in a real one, on a page of another origin."""

import asyncio
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest
from js_package import built_js_package
from page_server import chromium_at, page_server
from sdk_service import running_service

PAGE = Path(__file__).with_name("in_browser.html")


@pytest.mark.slow
async def test_a_page_makes_watches_and_fetches_a_video(redis_url: str, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.skip("chromium is not installed")
    folder = tmp_path / "pages"
    shutil.copytree(built_js_package() / "dist" / "src", folder / "js")
    shutil.copy(PAGE, folder)
    with page_server(folder) as pages:
        async with running_service(redis_url, tmp_path, cors_origins=(pages.origin,)) as service:
            url = service.gateway.http_url
            watches = await service.broken("watches", url, num_breaks=3, break_bytes=40_000)
            downloads = await service.broken("downloads", url, num_breaks=3, break_bytes=1 << 20)
            query = {
                "url": url,
                "apiKey": service.api_key,
                "breakingWatches": f"http://{watches}",
                "breakingDownloads": f"http://{downloads}",
            }
            page = f"{pages.origin}/{PAGE.name}?{urlencode(query)}"
            async with chromium_at(page, tmp_path / "profile"):
                told = await asyncio.to_thread(pages.told, 60)
    assert told == {
        "steps": list(range(1, 21)),
        "size": 3_000_000,
        "type": "video/mp4",
        "isMissing": True,
        "uploaded": "image/png",
        "hasPrice": True,
        "isWatched": True,
    }
    connections = {name: proxy.num_connections for name, proxy in service.opened.items()}
    assert {name: n for name, n in connections.items() if n < 4} == {}
