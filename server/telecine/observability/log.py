"""Logs: one JSON object a line on standard error, with the Elastic Common Schema's names."""

import logging
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

import telecine


def configure_logging(*, service: str, level: str) -> None:
    """Sets up every later log line of this process.

    Args:
        service: the process's role, `gateway` say.
        level: `debug`, `info`, `warning` or `error`.
    """
    identity = {
        "service.name": f"telecine-{service}",
        "service.version": telecine.__version__,
        "process.pid": os.getpid(),
    }

    def add_identity(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**identity, **event}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="@timestamp"),
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            rename_to_ecs,
            add_identity,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Forwarder()], level=logging.WARNING, force=True)


class _Forwarder(logging.Handler):
    """Writes what libraries log by the standard logging as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        structlog.get_logger(record.name).log(
            record.levelno, record.getMessage(), exc_info=record.exc_info
        )


def rename_to_ecs(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Gives structlog's own keys the names that ECS has for them."""
    for ours, theirs in (("level", "log.level"), ("exception", "error.stack_trace")):
        if ours in event:
            event[theirs] = event.pop(ours)
    return event
