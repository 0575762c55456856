"""From a URL in the settings to an object store."""

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from telecine.storage.local_object_store import LocalObjectStore
from telecine.storage.object_store import ObjectStore

_S3_OPTIONS = {"endpoint", "region"}


def open_object_store(url: str) -> ObjectStore:
    """Returns the store at a URL; nothing is connected before it is used.

    Args:
        url: a folder, as a path or `file:///path`, or
            `s3://bucket/prefix?endpoint=https://host:port&region=name`, where all but the bucket
            may be left out. Credentials come from where AWS' own tools find them.

    Raises:
        ValueError: it is neither.
    """
    parts = urlsplit(url)
    match parts.scheme:
        case "":
            return LocalObjectStore(Path(url))
        case "file" if parts.netloc in {"", "localhost"} and parts.path:
            return LocalObjectStore(Path(unquote(parts.path)))
        case "s3" if parts.netloc:
            return _open_s3(parts.netloc, unquote(parts.path).strip("/"), query=parts.query)
    raise ValueError(f"{url!r} is not a folder, file:///path or s3://bucket/prefix")


def _open_s3(bucket: str, prefix: str, *, query: str) -> ObjectStore:
    options = dict(parse_qsl(query, strict_parsing=bool(query)))
    if unknown := options.keys() - _S3_OPTIONS:
        raise ValueError(f"{', '.join(sorted(unknown))}: not an option of an s3:// URL")
    # A service on a folder does not wait for boto3 to be imported.
    from telecine.storage.s3_object_store import S3ObjectStore  # noqa: PLC0415

    return S3ObjectStore(
        bucket, prefix, endpoint=options.get("endpoint"), region=options.get("region")
    )
