"""How a video's events look in a terminal: one line with stage, bar, step and time left."""

from types import TracebackType
from typing import Self

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from telecine.v1 import video_pb2

STAGE_WORDS = {
    video_pb2.STAGE_LOADING: "loading the model",
    video_pb2.STAGE_CONDITIONING: "reading the prompt",
    video_pb2.STAGE_DENOISING: "denoising",
    video_pb2.STAGE_DECODING: "decoding",
    video_pb2.STAGE_AUDIO: "making sound",
    video_pb2.STAGE_SAFETY: "checking",
    video_pb2.STAGE_UPLOADING: "storing",
}


class ProgressView:
    """Shows events as they come; on no terminal, a line for each stage.

    Args:
        console: where to.
        create_time: when the video was accepted, to tell how long its first frames took.
    """

    def __init__(self, console: Console, *, create_time: Timestamp | None = None) -> None:
        self._console = console
        self._create_time = create_time
        self._has_frames = False
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<20}"),
            BarColumn(),
            TextColumn("{task.fields[steps]:<12}"),
            TextColumn("{task.fields[eta]:<12}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("sent", total=None, steps="", eta="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def show(self, event: video_pb2.VideoEvent) -> None:
        """Show one event."""
        match event.WhichOneof("event"):
            case "state_changed":
                self._show_state(event.state_changed)
            case "queue_moved":
                self._describe(f"queued, {event.queue_moved.queue_position} ahead")
            case "stage_changed":
                self._describe(STAGE_WORDS.get(event.stage_changed.stage, "working"))
            case "step_finished":
                self._show_step(event.step_finished)
            case "fragment_ready":
                self._show_fragment(event)
            case "notice":
                self._console.print(f"[yellow]{escape(event.notice.message)}[/]")

    def _show_state(self, changed: video_pb2.VideoEvent.StateChanged) -> None:
        if changed.state == video_pb2.Video.STATE_QUEUED:
            self._describe(f"queued, {changed.queue_position} ahead")
        else:
            self._describe(state_word(changed.state))

    def _show_step(self, step: video_pb2.VideoEvent.StepFinished) -> None:
        seconds = step.eta.seconds + step.eta.nanos / 1e9
        self._progress.update(
            self._task,
            completed=step.step_index,
            total=step.num_inference_steps,
            steps=f"step {step.step_index}/{step.num_inference_steps}",
            eta=f"{seconds:.0f} s left" if step.HasField("eta") else "",
        )

    def _show_fragment(self, event: video_pb2.VideoEvent) -> None:
        if self._has_frames or not event.fragment_ready.num_frames:
            return
        self._has_frames = True
        if self._create_time is not None:
            waited = event.event_time.ToNanoseconds() - self._create_time.ToNanoseconds()
            self._console.print(f"first frames after {waited / 1e9:.1f} s", highlight=False)

    def _describe(self, description: str) -> None:
        self._progress.update(self._task, description=description)
        if not self._console.is_terminal:
            self._console.print(description, highlight=False)


def state_word(state: video_pb2.Video.State.ValueType) -> str:
    """`succeeded` for STATE_SUCCEEDED, and so on."""
    return video_pb2.Video.State.Name(state).removeprefix("STATE_").lower()
