import io

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console

from telecine.cli.progress_view import STAGE_WORDS, ProgressView
from telecine.v1 import video_pb2

Event = video_pb2.VideoEvent


def _show(*events: Event, is_terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=120)
    with ProgressView(console) as view:
        for event in events:
            view.show(event)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_stage_has_a_word() -> None:
    assert set(STAGE_WORDS) == set(video_pb2.Stage.values()) - {video_pb2.STAGE_UNSPECIFIED}


def test_a_log_gets_a_line_for_each_stage() -> None:
    queued = Event.StateChanged(state=video_pb2.Video.STATE_QUEUED, queue_position=2)
    denoising = Event.StageChanged(stage=video_pb2.STAGE_DENOISING)
    told = _show(Event(state_changed=queued), Event(stage_changed=denoising), is_terminal=False)
    assert told.splitlines() == ["queued, 2 ahead", "denoising"]


def test_a_terminal_shows_step_and_time_left() -> None:
    step = Event.StepFinished(step_index=7, num_inference_steps=30, eta=Duration(seconds=12))
    told = _show(Event(step_finished=step), is_terminal=True)
    assert "step 7/30" in told
    assert "12 s left" in told


def test_time_to_the_first_frames_is_told_once() -> None:
    console = Console(file=io.StringIO(), width=120)
    with ProgressView(console, create_time=Timestamp(seconds=100)) as view:
        for second, num_frames in ((101, 0), (102, 1), (103, 5)):
            fragment = Event.FragmentReady(num_frames=num_frames)
            event_time = Timestamp(seconds=second, nanos=500_000_000)
            view.show(Event(fragment_ready=fragment, event_time=event_time))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["first frames after 2.5 s"]


def test_a_notice_is_told() -> None:
    notice = Event.Notice(reason="MODEL_SERVER_UNAVAILABLE", message="waits for [Triton]")
    assert "waits for [Triton]" in _show(Event(notice=notice), is_terminal=False)
