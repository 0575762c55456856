"""A chat model that expands prompts, and what happens when it does not."""

from collections.abc import AsyncIterator

import pytest

from telecine.config import PromptSettings
from telecine.prompts import open_expander
from telecine.prompts.prompt_expander import PromptExpander, PromptLimits

from .conftest import ChatModel

PROMPT = "a lighthouse"
LIMITS = PromptLimits(max_tokens=512, seed=7)


@pytest.fixture
async def expander(chat_model: ChatModel) -> AsyncIterator[PromptExpander]:
    settings = PromptSettings(
        expander_url=chat_model.url,
        expander_model="writer",
        expander_api_key="secret",  # type: ignore[arg-type]
        expander_timeout_seconds=1.0,
    )
    expander = open_expander(settings)
    yield expander
    await expander.close()


async def test_its_caption_becomes_the_prompt(
    expander: PromptExpander, chat_model: ChatModel
) -> None:
    chat_model.say(' "A lighthouse\nstands in a storm." ')
    expansion = await expander.expand(PROMPT, LIMITS)
    assert expansion.prompt == "A lighthouse stands in a storm."
    assert expansion.warnings == ()
    (request,) = chat_model.requests
    assert request["path"] == "/v1/chat/completions"
    assert (request["model"], request["seed"]) == ("writer", 7)
    assert request["messages"][1] == {"role": "user", "content": PROMPT}
    assert "at most 120 words" in request["messages"][0]["content"]
    assert chat_model.keys == ["Bearer secret"]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (500, b"", "status 500"),
        (307, b"", "status 307"),
        (200, b"no json", "not a chat completion"),
        (200, b'{"choices": []}', "not a chat completion"),
        (200, b'{"choices": [{"message": {"content": null}}]}', "no text"),
        (200, b'{"choices": [{"message": {"content": " \\n"}}]}', "empty"),
        (200, b'{"choices": [{"message": {"content": "' + b"a" * 2001 + b'"}}]}', "too long"),
        (200, b" " * 100_000, "too long"),
    ],
)
async def test_bad_answer_falls_back_to_rules_with_a_warning_that_says_why(
    expander: PromptExpander, chat_model: ChatModel, status: int, body: bytes, words: str
) -> None:
    chat_model.status, chat_model.body = status, body
    expansion = await expander.expand(PROMPT, LIMITS)
    assert expansion.prompt.startswith("a lighthouse, ")
    (warning,) = expansion.warnings
    assert warning.startswith("PROMPT_EXPANSION_FELL_BACK: ")
    assert words in warning


async def test_answer_that_trickles_is_not_waited_for(
    expander: PromptExpander, chat_model: ChatModel
) -> None:
    chat_model.say("A lighthouse in a storm.")
    chat_model.delay_seconds = 2.0
    expansion = await expander.expand(PROMPT, LIMITS)
    assert "no answer within 1 s" in expansion.warnings[0]


async def test_chat_model_that_is_away_falls_back_to_rules() -> None:
    expander = open_expander(PromptSettings(expander_url="http://127.0.0.1:9/v1"))
    expansion = await expander.expand(PROMPT, LIMITS)
    await expander.close()
    assert expansion.prompt.startswith("a lighthouse, ")
    assert expansion.warnings[0].startswith("PROMPT_EXPANSION_FELL_BACK: ")


async def test_without_a_url_rules_expand_and_say_where_there_is_nothing_to_add() -> None:
    expander = open_expander(PromptSettings())
    assert (await expander.expand(PROMPT, LIMITS)).warnings == ()
    unchanged = await expander.expand(PROMPT, PromptLimits(max_tokens=24, seed=1))
    assert unchanged.prompt == ""
    assert unchanged.warnings[0].startswith("PROMPT_NOT_EXPANDED: ")
