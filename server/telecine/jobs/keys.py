"""Names of everything the job store keeps in Redis, and checks of the ids in them.

Every key of a queue begins with the queue's own key, whose hash tag is the shard: a Redis
Cluster keeps them on one node, where one function can change them all.
"""

import re

from telecine.errors import NotFoundError

VIDEO_COLLECTION = "videos/"
_VIDEO_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def queue_key(shard: str) -> str:
    """Returns the key of a queue: a hash of its counters, and the prefix of its other keys."""
    return f"telecine:{{{shard}}}"


def events_key(queue: str, video_id: str) -> str:
    """Returns the key of a video's event log."""
    return f"{queue}:events:{video_id}"


def video_key(queue: str, video_id: str) -> str:
    """Returns the key of a video's record."""
    return f"{queue}:video:{video_id}"


def index_key(queue: str, tenant: str) -> str:
    """Returns the key of a tenant's videos by create time."""
    return f"{queue}:index:{tenant}"


def account_key(queue: str, tenant: str) -> str:
    """Returns the key of what a tenant uses."""
    return f"{queue}:account:{tenant}"


def ledger_key(queue: str, tenant: str) -> str:
    """Returns the key of a tenant's ledger."""
    return f"{queue}:ledger:{tenant}"


def quota_key(queue: str, tenant: str) -> str:
    """Returns the key of what a tenant may use, where that is not what the settings say."""
    return f"{queue}:quota:{tenant}"


def place_key(queue: str, tenant: str, video_id: str) -> str:
    """Returns the key of a deleted video's place in its tenant's list."""
    return f"{queue}:place:{tenant}:{video_id}"


def media_place_key(queue: str, tenant: str, media_id: str) -> str:
    """Returns the key of a deleted upload's place in its tenant's list."""
    return f"{queue}:media_place:{tenant}:{media_id}"


def notify_key(queue: str) -> str:
    """Returns the key of the stream that says whose event log has grown."""
    return f"{queue}:notify"


def watched_key(queue: str, tenant: str) -> str:
    """Returns the key that lives while somebody watches all videos of a tenant."""
    return f"{queue}:watched:{tenant}"


def wake_key(queue: str) -> str:
    """Returns the key of the stream that says that a video waits."""
    return f"{queue}:wake"


def models_key(queue: str) -> str:
    """Returns the key of the models that were ever published."""
    return f"{queue}:models"


def model_alive_key(queue: str, model_id: str) -> str:
    """Returns the key that lives while a worker serves the model."""
    return f"{queue}:model_alive:{model_id}"


def worker_changes_key(queue: str) -> str:
    """Returns the key of the stream that says which worker has changed."""
    return f"{queue}:worker_changes"


def api_keys_key(queue: str) -> str:
    """Returns the key of all API keys, `tenant/key id` each."""
    return f"{queue}:api_keys"


def api_key_key(queue: str, key_id: str) -> str:
    """Returns the key of an API key's record."""
    return f"{queue}:api_key:{key_id}"


def api_key_use_key(queue: str, key_id: str) -> str:
    """Returns the key of the time at which an API key was last used."""
    return f"{queue}:api_key_use:{key_id}"


def video_id_of(name: str) -> str:
    """Returns the id in `videos/{video}`.

    Raises:
        NotFoundError: no video can have that name.
    """
    video_id = name.removeprefix(VIDEO_COLLECTION)
    if name == video_id or not _VIDEO_ID.fullmatch(video_id):
        raise NotFoundError(name)
    return video_id


def video_name(video_id: str) -> str:
    """Returns the name of the video with that id."""
    return VIDEO_COLLECTION + video_id
