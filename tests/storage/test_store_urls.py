"""Object stores by URL."""

from pathlib import Path

import pytest

from telecine.storage import open_object_store

from .conftest import DATA, KEY, OpenS3, list_all


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
async def test_a_folder_is_a_path_or_a_file_url(tmp_path: Path, form: str) -> None:
    await open_object_store(form.format(tmp_path / "objects")).put(KEY, DATA)
    assert (tmp_path / "objects" / KEY).read_bytes() == DATA


async def test_a_prefix_keeps_services_in_one_bucket_apart(s3_url: str, open_s3: OpenS3) -> None:
    one, other = (open_s3(s3_url.replace("/?", f"/{name}?")) for name in ("one", "one-more"))
    whole = open_s3(s3_url)
    await one.put(KEY, DATA)
    assert await list_all(other) == []
    assert await list_all(whole) == [f"one/{KEY}"]


@pytest.mark.parametrize(
    "url",
    ["http://host/bucket", "s3://", "s3:///prefix", "file://host/path", "s3://bucket/p?endpiont=x"],
)
def test_what_is_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not"):
        open_object_store(url)
