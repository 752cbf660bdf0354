"""Structured logs: one JSON object a line on stderr.

Owns the format and the fields bound to the running task. Each line carries trace id and span id of the current
span, so that a line leads to its trace; there is no second scheme of ids. A field that is bound must be an id or
a count, never a record's value.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TextIO

from headwater.kernel.telemetry.context import current

LogValue = str | int | float | bool | None

_EMPTY: Final[Mapping[str, LogValue]] = MappingProxyType({})
_bound: ContextVar[Mapping[str, LogValue]] = ContextVar("headwater_log_fields", default=_EMPTY)
_RECORD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN_FIELDS: Final = frozenset(
    {"time", "level", "logger", "message", "service", "replica", "trace_id", "span_id", "error"}
)


@contextmanager
def bound_fields(**fields: LogValue) -> Iterator[None]:
    """Add fields to every line logged inside, in this task and those it starts."""
    token = _bound.set(MappingProxyType({**_bound.get(), **fields}))
    try:
        yield
    finally:
        _bound.reset(token)


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; fields come from `bound_fields` and from `extra=`.

    Args:
        replica: which of several processes of the service this is, from 1; 0 leaves it out.
    """

    def __init__(self, service_name: str, replica: int = 0) -> None:
        super().__init__()
        self._origin: dict[str, object] = {"service": service_name}
        if replica:
            self._origin["replica"] = replica

    def format(self, record: logging.LogRecord) -> str:
        """Return one line without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._origin,
        }
        context = current()
        if context is not None:
            line["trace_id"], line["span_id"] = context.trace_id, context.span_id
        line.update({key: value for key, value in _bound.get().items() if key not in _OWN_FIELDS})
        extra = {key: value for key, value in vars(record).items() if key not in _RECORD_FIELDS}
        line.update({key: value for key, value in extra.items() if key not in _OWN_FIELDS})
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False, separators=(",", ":"))


CHATTY: Final = ("httpx", "httpcore")
"""Libraries that log every call at info: our spans say it better."""


def configure_logging(
    service_name: str, level: str, stream: TextIO | None = None, *, replica: int = 0
) -> logging.Handler:
    """Send every log line of the process to stderr as JSON; replaces the root logger's handlers.

    Args:
        service_name: stands in every line.
        level: a name of the standard library: `info`, `warning`, …
        stream: stderr by default.
        replica: which of several processes of the service this is, from 1; 0: the only one.

    Returns:
        The handler, for who must take it off again.

    Raises:
        ValueError: there is no such level.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no log level {level!r}")
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines(service_name, replica))
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(max(number, logging.WARNING))
    return handler
