"""What a person wrote, made fit for a model."""

from telecine.config import PromptSettings
from telecine.prompts.chat_expander import ChatExpander
from telecine.prompts.prompt_expander import PromptExpander, RuleExpander

__all__ = ["open_expander"]


def open_expander(settings: PromptSettings) -> PromptExpander:
    """Returns what expands prompts: the chat model that the settings name, else rules."""
    return ChatExpander(settings) if settings.expander_url else RuleExpander()
