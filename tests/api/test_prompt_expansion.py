"""Prompts that are expanded on request, before the video is queued."""

from typing import Any

from telecine.v1 import video_pb2, video_service_pb2


async def test_expanded_prompt_stands_on_the_video_beside_what_was_written(gateway: Any) -> None:
    video = await gateway.create(prompt="a lighthouse", expand_prompt=True, seed=5)
    assert video.spec.prompt == "a lighthouse"
    assert video.spec.expand_prompt
    assert video.expanded_prompt.startswith("a lighthouse, ")
    assert list(video.warnings) == []


async def test_prompt_is_not_expanded_unless_asked_for(gateway: Any) -> None:
    video = await gateway.create(prompt="a lighthouse")
    assert video.expanded_prompt == ""


async def test_prompt_with_nothing_to_add_conditions_as_it_is_with_a_warning(gateway: Any) -> None:
    video = await gateway.create(prompt="灯塔", expand_prompt=True)
    assert video.expanded_prompt == ""
    assert video.warnings[0].startswith("PROMPT_NOT_EXPANDED: ")


async def test_repeated_request_returns_the_video_with_the_expansion_of_the_first(
    gateway: Any,
) -> None:
    spec = video_pb2.VideoSpec(prompt="a lighthouse", expand_prompt=True)
    request = video_service_pb2.CreateVideoRequest(spec=spec, request_id="once")
    first = await gateway.videos.CreateVideo(request)
    again = await gateway.videos.CreateVideo(request)
    assert (again.name, again.expanded_prompt) == (first.name, first.expanded_prompt)
