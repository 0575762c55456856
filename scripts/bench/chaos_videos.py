"""The videos that are made while chaos reigns, and whether each came out as it should."""

import asyncio
import contextlib
import hashlib
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, TypeAlias, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from telecine.client import AsyncClient, UnavailableError, VideoOptions
from telecine.v1 import video_pb2

T = TypeVar("T")
Samples: TypeAlias = NDArray[Any]
State = video_pb2.Video.State
ENDED = {State.STATE_SUCCEEDED, State.STATE_FAILED, State.STATE_CANCELLED}
PROMPT = "a red circle moves right"
_POLL_SECONDS = 0.2
_RETRY_SECONDS = 0.1
_COLLECT_SECONDS = 0.03
TIERS = (video_pb2.TIER_STANDARD, video_pb2.TIER_BATCH, video_pb2.TIER_PREMIUM)


def make_options(number: int) -> VideoOptions:
    """Returns one of the kinds of videos that are made."""
    samplers = ("euler_ancestral", "euler", "heun", "unipc", "ddim", "ddpm", "rk4")
    return {
        "seed": number,
        "num_inference_steps": 16 + 8 * (number % 4),
        "sampler": samplers[number % len(samplers)],
        "guidance_scale": 1.0 if number % 3 == 0 else 3.0,
        "tier": TIERS[number % len(TIERS)],
        "duration_seconds": 1.0,
        "fps": 8,
        "size": (64, 64),
    }


NUM_KINDS = 12


@dataclass
class Verdict:
    """What became of all videos."""

    num_videos: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    differing_latents: list[str] = field(default_factory=list)
    num_latents: int = 0
    max_attempt: int = 0
    num_resumed: int = 0

    @property
    def is_good(self) -> bool:
        """Whether each video was made once, and is the right one."""
        return not (self.lost or self.doubled or self.differing or self.differing_latents)


class LatentsCollector:
    """Takes the digests of checkpoints, which are gone when their videos end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._digests: dict[str, dict[int, set[str]]] = {}
        self._taken: set[tuple[Path, int]] = set()

    def digests(self, name: str) -> dict[int, set[str]]:
        """Returns what a video's states were seen to be after each step, over all attempts."""
        return self._digests.get(name.removeprefix("videos/"), {})

    async def run(self) -> None:
        """Collects for ever."""
        while True:
            await asyncio.to_thread(self._collect)
            await asyncio.sleep(_COLLECT_SECONDS)

    def _collect(self) -> None:
        for path in self._folder.rglob("*.ckpt"):
            with contextlib.suppress(FileNotFoundError):
                written = (path, path.stat().st_mtime_ns)
                if written not in self._taken:
                    digest = hashlib.sha256(path.read_bytes()).hexdigest()
                    step_index = int(path.stem.rpartition("-")[2])
                    steps = self._digests.setdefault(path.parent.name, {})
                    steps.setdefault(step_index, set()).add(digest)
                    self._taken.add(written)


class Load:
    """Keeps some videos in flight."""

    def __init__(
        self, client: AsyncClient, latents: LatentsCollector, *, random: Random, folder: Path
    ) -> None:
        self.in_flight: set[str] = set()
        self._folder = folder
        self._client = client
        self._latents = latents
        self._random = random
        self._references: dict[int, tuple[str, dict[int, set[str]]]] = {}
        self._names: dict[str, tuple[str, int]] = {}
        self._is_stopping = False

    async def make_references(self) -> None:
        """Makes each kind of video undisturbed."""
        for kind in range(NUM_KINDS):
            video = await self._make(f"reference-{kind}", kind)
            if video.state != State.STATE_SUCCEEDED:
                raise RuntimeError(f"a reference failed: {video.failure}")
            latents = self._latents.digests(video.name)
            self._references[kind] = (video.artifacts[0].digest, latents)

    async def run(self, *, width: int) -> None:
        """Keeps `width` videos in flight until `stop`, and returns when all of them have ended."""
        await asyncio.gather(*(self._make_one_after_another(lane) for lane in range(width)))

    def stop(self) -> None:
        """Begins no more videos."""
        self._is_stopping = True

    async def judge(self) -> Verdict:
        """Looks at every video that was asked for."""
        verdict = Verdict()
        listed = {video.name async for video in self._client.list_videos(page_size=500)}
        names = {name for name, _ in self._names.values()}
        verdict.doubled.extend(listed - names)
        verdict.lost.extend(names - listed)
        for name, kind in self._names.values():
            if name in listed:
                await self._judge_one(verdict, name, kind)
        return verdict

    async def _judge_one(self, verdict: Verdict, name: str, kind: int) -> None:
        video = await self._client.get_video(name)
        events = [event async for event in self._client.watch_video(name)]
        verdict.num_videos += 1
        verdict.max_attempt = max(verdict.max_attempt, video.attempt)
        verdict.num_resumed += video.attempt > 1
        if video.state != State.STATE_SUCCEEDED:
            verdict.lost.append(f"{name} {State.Name(video.state)} {video.failure.reason}")
            return
        ends = [event.state_changed.state for event in events].count(State.STATE_SUCCEEDED)
        if ends != 1 or len({event.event_id for event in events}) != len(events):
            verdict.doubled.append(name)
        file_digest, latents = self._references[kind]
        content = b"".join([chunk async for chunk in self._client.read_video(name)])
        if not video.artifacts[0].digest == file_digest == _digest(content):
            reference = await self._keep(name, content, kind=kind, events=events)
            told = f"{name}, attempt {video.attempt}: {_difference(content, reference)}"
            notices = [event.notice.reason for event in events if event.notice.reason]
            verdict.differing.append(f"{told}; notices: {', '.join(notices) or 'none'}")
        for step_index, own in sorted(self._latents.digests(name).items()):
            if step_index in latents:
                verdict.num_latents += 1
                if own != latents[step_index]:
                    verdict.differing_latents.append(f"{name} after step {step_index}")

    async def _keep(
        self, name: str, content: bytes, *, kind: int, events: list[video_pb2.VideoEvent]
    ) -> bytes:
        """Leaves what tells how a file came to differ, beside the logs; returns the right one."""
        folder = self._folder / name
        folder.mkdir(parents=True)
        reference, _ = self._names[f"reference-{kind}"]
        right = b"".join([chunk async for chunk in self._client.read_video(reference)])
        (folder / "reference.mp4").write_bytes(right)
        (folder / "video.mp4").write_bytes(content)
        (folder / "video.txt").write_text(str(await self._client.get_video(name)))
        (folder / "events.txt").write_text("\n".join(str(event) for event in events))
        return right

    async def _make_one_after_another(self, lane: int) -> None:
        number = 0
        while not self._is_stopping:
            number += 1
            await self._make(f"chaos-{lane}-{number}", self._random.randrange(NUM_KINDS))

    async def _make(self, request_id: str, kind: int) -> video_pb2.Video:
        options = make_options(kind)

        async def create() -> video_pb2.Video:
            return await self._client.create_video(PROMPT, request_id=request_id, **options)

        name = (await _insist(create)).name
        if self._random.random() < 0.2:  # as a client does that has not heard the answer
            name = (await _insist(create)).name
        self._names[request_id] = (name, kind)
        self.in_flight.add(name)
        try:
            while (video := await _insist(lambda: self._client.get_video(name))).state not in ENDED:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            self.in_flight.discard(name)
        return video


def _difference(content: bytes, reference: bytes) -> str:
    """Says in what a file is not its reference."""
    told = [f"{len(content)} bytes, not {len(reference)}"]
    for kind in ("video", "audio"):
        own, right = _decoded(content, kind), _decoded(reference, kind)
        pairs = list(zip(own, right, strict=False))
        differing = [
            at for at, (ours, theirs) in enumerate(pairs) if not np.array_equal(ours, theirs)
        ]
        same = f"{len(pairs) - len(differing)} of {len(right)} frames the same, {len(own)} in all"
        where = "".join(f", {at}: {_place(*pairs[at])}" for at in differing[:3])
        told.append(f"{kind}: {same}{where}")
    return "; ".join(told)


def _place(ours: Samples, theirs: Samples) -> str:
    """Says how much of a frame is another, and where the first and the last of it lie."""
    if ours.shape != theirs.shape:
        return f"of shape {ours.shape}, not {theirs.shape}"
    distance = np.abs(ours.astype(np.float64) - theirs.astype(np.float64))
    places = np.argwhere(distance)
    first, last = places.min(0).tolist(), places.max(0).tolist()
    return f"{len(places)} of {distance.size} by up to {distance.max():g} in {first} to {last}"


def _decoded(content: bytes, kind: str) -> list[Samples]:
    with av.open(io.BytesIO(content)) as container:
        frames: Any = container.decode(**{kind: 0}) if getattr(container.streams, kind) else ()
        return [frame.to_ndarray() for frame in frames]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def _insist(call: Callable[[], Awaitable[T]]) -> T:
    """Repeats a call while the service is away."""
    while True:
        try:
            return await call()
        except UnavailableError:
            await asyncio.sleep(_RETRY_SECONDS)
