"""Everything that the job store keeps, read in one go between two events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from simulation.simulated_store import QUEUE

Fields: TypeAlias = Mapping[str, str]

_VIDEO_FIELDS = (
    "state",
    "token",
    "tenant",
    "flow",
    "pool",
    "charged",
    "step_index",
    "num_inference_steps",
    "reserved",
    "paid",
    "checkpoint_step",
    "attempt",
)

_SCRIPT = """
local function sums_of(key)
  local sums, content = {}, {}
  for _, entry in ipairs(redis.call("XRANGE", key, "-", "+")) do
    local fields = {}
    for i = 1, #entry[2], 2 do
      fields[entry[2][i]] = entry[2][i + 1]
    end
    sums[fields.kind] = (sums[fields.kind] or 0) + fields.amount
    sums.reserved, sums.spent = fields.reserved, fields.spent
  end
  for name, value in pairs(sums) do
    content[#content + 1] = name
    content[#content + 1] = tostring(value)
  end
  return content
end

local queue, answer = KEYS[1], {}
for _, key in ipairs(redis.call("KEYS", queue .. "*")) do
  local kind, name = string.match(string.sub(key, #queue + 1), "^:([a-z_]+):?(.*)$")
  local content
  if not kind then
    kind, name, content = "counters", "", redis.call("HGETALL", key)
  elseif kind == "video" then
    content = redis.call("HMGET", key, unpack(ARGV))
  elseif kind == "flow" or kind == "tenant" or kind == "account" then
    content = redis.call("HGETALL", key)
  elseif kind == "waiting" or kind == "heads" or kind == "realtime_heads" or kind == "leases" then
    content = redis.call("ZRANGE", key, 0, -1, "WITHSCORES")
  end
  if kind == "ledger" then
    content = sums_of(key)
  end
  if content then
    table.insert(answer, { kind, name, content })
  end
end
return answer
"""


@dataclass
class Snapshot:
    """What is there after one event.

    Attributes:
        counters: the queue's own hash.
        videos: records by video id, a few of their fields; so flows and tenants, whole.
        waiting: videos and their sequence, by pool and flow.
        heads: heads of flows and their start tags, by pool; realtime_heads are separate.
        account: what each tenant uses, and ledger: the sum of each kind of its entries, and what
            the newest one says of the account.
        leases: running videos by when their lease ends.
    """

    counters: Fields = field(default_factory=dict)
    videos: dict[str, Fields] = field(default_factory=dict)
    flow: dict[str, Fields] = field(default_factory=dict)
    tenant: dict[str, Fields] = field(default_factory=dict)
    waiting: dict[str, Fields] = field(default_factory=dict)
    heads: dict[str, Fields] = field(default_factory=dict)
    realtime_heads: dict[str, Fields] = field(default_factory=dict)
    account: dict[str, Fields] = field(default_factory=dict)
    ledger: dict[str, Fields] = field(default_factory=dict)
    leases: Fields = field(default_factory=dict)

    def states(self, *states: str) -> list[str]:
        """Returns the ids of the videos in these states."""
        return [name for name, video in self.videos.items() if video["state"] in states]


# The command that reads the whole queue.
INSPECT = ("EVAL", _SCRIPT, 1, QUEUE, *_VIDEO_FIELDS)


class Inspector:
    """Decodes what INSPECT was answered; most of it is as it was after the event before."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], tuple[list[Any], Fields]] = {}

    def decode(self, answer: Sequence[Any]) -> Snapshot:
        """Returns what is there; parts that have not changed are the same objects."""
        snapshot = Snapshot()
        for kind, name, content in answer:
            fields = self._decode_part(kind, name, content)
            match kind:
                case b"counters":
                    snapshot.counters = fields
                case b"leases":
                    snapshot.leases = fields
                case b"video":
                    snapshot.videos[name.decode()] = fields
                case _:
                    getattr(snapshot, kind.decode())[name.decode()] = fields
        return snapshot

    def _decode_part(self, kind: bytes, name: bytes, content: list[Any]) -> Fields:
        known = self._known.get((kind, name))
        if known is not None and known[0] == content:
            return known[1]
        fields = _record(content) if kind == b"video" else _pairs(content)
        self._known[kind, name] = (content, fields)
        return fields


def _record(content: Sequence[bytes | None]) -> Fields:
    values = zip(_VIDEO_FIELDS, content, strict=True)
    return {key: value.decode() for key, value in values if value is not None}


def _pairs(content: Iterable[bytes]) -> Fields:
    parts = [part.decode() for part in content]
    return dict(zip(parts[::2], parts[1::2], strict=True))
