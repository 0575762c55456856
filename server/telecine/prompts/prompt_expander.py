"""Makes a short prompt say more: by rules, or by a chat model that is reached by a URL."""

from dataclasses import dataclass
from typing import Protocol

from telecine.prompts.prompt_rules import add_by_rules

EXPANSION_FELL_BACK = "PROMPT_EXPANSION_FELL_BACK"
PROMPT_NOT_EXPANDED = "PROMPT_NOT_EXPANDED"


@dataclass(frozen=True)
class PromptLimits:
    """What an expanded prompt must keep to.

    Attributes:
        max_tokens: of a prompt that reach the model; 0 where that is not known.
        seed: the video's: the same prompt and seed are expanded alike by rules.
    """

    max_tokens: int
    seed: int


@dataclass(frozen=True)
class Expansion:
    """What came of a prompt.

    Attributes:
        prompt: what conditions the model; empty where the prompt itself does.
        warnings: what the caller should know.
    """

    prompt: str
    warnings: tuple[str, ...] = ()


class PromptExpander(Protocol):
    """Enriches prompts; it never fails, since a video can be made without it."""

    async def expand(self, prompt: str, limits: PromptLimits) -> Expansion:
        """Return the prompt with what it leaves open filled in."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class RuleExpander:
    """Fills in camera, light, motion and look where the prompt says nothing of them."""

    async def expand(self, prompt: str, limits: PromptLimits) -> Expansion:
        """Return the prompt with a few words more, as many as the model reads."""
        expanded = add_by_rules(prompt, max_tokens=limits.max_tokens, seed=limits.seed)
        if expanded == prompt:
            return Expansion(
                "", (f"{PROMPT_NOT_EXPANDED}: the rules find nothing to add to this prompt",)
            )
        return Expansion(expanded)

    async def close(self) -> None:
        """Nothing to let go of."""
