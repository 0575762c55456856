"""The web application's files as the gateway sends them, and what they may do."""

import re
from pathlib import Path

import pytest
from httpx2 import AsyncClient

WEB = Path(__file__).parents[3] / "web"
FILES = sorted(path for path in WEB.rglob("*") if path.is_file())
_RELATIVE = re.compile(r"""["(](\.{1,2}/[^"')]+)["')]""")
_ELSEWHERE = re.compile(r"""(?:src|href|from|import|url)\W{1,2}(?:https?:)?//""")


async def assets_of(http: AsyncClient) -> str:
    """Return the path below which the page's files are."""
    page = await http.get("/")
    found = re.search(r"assets/[0-9a-f]{16}/", page.text)
    assert found is not None
    return f"/{found.group()}"


async def test_page_may_load_nothing_from_elsewhere(http: AsyncClient) -> None:
    page = await http.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= set(policy)
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


async def test_page_is_asked_for_again_and_sent_only_when_it_is_another(http: AsyncClient) -> None:
    page = await http.get("/")
    assert page.headers["cache-control"] == "no-cache"
    again = await http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert (await http.get("/", headers={"if-none-match": '"another"'})).status_code == 200


async def test_files_are_kept_by_browsers_for_good(http: AsyncClient) -> None:
    assets = await assets_of(http)
    for path in FILES:
        answer = await http.get(f"{assets}{path.relative_to(WEB)}")
        assert answer.status_code == 200, path
        assert answer.content == path.read_bytes()
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_files_name_only_files_that_are_there() -> None:
    for path in FILES:
        for named in _RELATIVE.findall(path.read_text()):
            assert (path.parent / named).is_file(), f"{path}: {named}"
        assert not _ELSEWHERE.findall(path.read_text()), path


@pytest.mark.parametrize(
    "path",
    ["modules/missing.js", "..%2fpyproject.toml", "/etc/passwd", "modules/", ""],
)
async def test_path_that_is_no_file_of_the_application_is_not_found(
    http: AsyncClient, path: str
) -> None:
    answer = await http.get(f"{await assets_of(http)}{path}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


async def test_files_of_another_version_are_not_sent(http: AsyncClient) -> None:
    answer = await http.get(f"/assets/{'0' * 16}/modules/main.js")
    assert answer.status_code == 404


async def test_model_says_its_name_and_which_one_is_the_default(http: AsyncClient) -> None:
    models = (await http.get("/v1/models")).json()["data"]
    assert [(model["display_name"], model["is_default"]) for model in models] == [("Toybox", True)]
