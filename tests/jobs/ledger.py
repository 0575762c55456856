"""What Redis keeps of the fair scheduler's accounts, read behind the job store's back."""

from collections.abc import Mapping

from redis.asyncio import Redis

from telecine.jobs.keys import queue_key, video_id_of, video_key

QUEUE = queue_key("0")


async def read_hash(client: Redis, key: str) -> Mapping[str, str]:
    """Returns a hash of the queue, `flow:standard:alice` say; that of the queue itself for ""."""
    fields = await client.hgetall(f"{QUEUE}:{key}" if key else QUEUE)
    return {name.decode(): value.decode(errors="replace") for name, value in fields.items()}


async def charged_seconds(client: Redis, flow: str) -> float:
    """Returns what a flow, `standard:alice` say, has been charged, less what it got back."""
    return float((await read_hash(client, f"flow:{flow}")).get("charged_seconds", 0))


async def open_charge(client: Redis, name: str) -> float:
    """Returns what a video's running slice was charged."""
    value = await client.hget(video_key(QUEUE, video_id_of(name)), "charged")
    return float(value or 0)


async def virtual_times(client: Redis) -> dict[str, float]:
    """Returns the virtual time of each pool."""
    counters = await read_hash(client, "")
    prefix = "virtual_time:"
    return {
        name.removeprefix(prefix): float(value)
        for name, value in counters.items()
        if name.startswith(prefix)
    }
