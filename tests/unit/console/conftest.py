"""Spans made by hand for the console's tests."""

from collections.abc import Callable
from typing import Any

import pytest

from headwater.console.model import StoredSpan

MakeSpan = Callable[..., StoredSpan]
TRACE_ID = "a" * 32


@pytest.fixture
def make_span() -> MakeSpan:
    """Return a maker of spans: name, parent's name, start and end in nanoseconds."""

    def make(name: str, parent: str | None = None, start: int = 0, end: int = 10, **more: Any) -> StoredSpan:
        given: dict[str, Any] = {"service": "ingest", "kind": "INTERNAL", "status": "UNSET", **more}
        return StoredSpan(
            trace_id=TRACE_ID,
            span_id=_id(name),
            parent_span_id=None if parent is None else _id(parent),
            name=name,
            start_ns=start,
            end_ns=end,
            **given,
        )

    return make


def _id(name: str) -> str:
    return name.encode().hex().rjust(16, "0")[-16:]
