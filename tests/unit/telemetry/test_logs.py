"""Log lines as JSON."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
from tests.unit.telemetry.conftest import Recorder

from headwater.kernel.telemetry import bound_fields, configure_logging

log = logging.getLogger("test.logs")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Send the process's log into a buffer for one test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.handlers = []
    stream = io.StringIO()
    configure_logging("ingest", "info", stream)
    yield stream
    root.handlers, root.level = handlers, level


def _line(stream: io.StringIO) -> dict[str, object]:
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


def test_line_is_one_json_object_with_bound_and_extra_fields(stream: io.StringIO) -> None:
    """Fields bound to the task and given with the line stand beside the message."""
    with bound_fields(event_key="k1"), bound_fields(attempt=2):
        log.info("stored %d", 3, extra={"rows": 3})
    line = _line(stream)
    assert stream.getvalue().count("\n") == 1
    assert (line["message"], line["level"], line["service"]) == ("stored 3", "info", "ingest")
    assert (line["event_key"], line["attempt"], line["rows"]) == ("k1", 2, 3)
    assert "trace_id" not in line


def test_line_leads_to_the_current_span(stream: io.StringIO, recorder: Recorder) -> None:
    """Inside a span the line carries its ids."""
    with recorder.spans.root("sweep") as span:
        log.warning("slow")
        context = span.context
    assert context is not None
    assert (_line(stream)["trace_id"], _line(stream)["span_id"]) == (context.trace_id, context.span_id)


def test_bound_fields_end_with_their_block(stream: io.StringIO) -> None:
    """What was bound inside does not leak out."""
    with bound_fields(connector="hubspot"):
        pass
    log.info("after")
    assert "connector" not in _line(stream)


def test_field_cannot_stand_in_for_the_lines_own(stream: io.StringIO) -> None:
    """A bound field named like one of ours is left out."""
    with bound_fields(service="forged"):
        log.info("x")
    assert _line(stream)["service"] == "ingest"


def test_exception_stays_on_the_line(stream: io.StringIO) -> None:
    """A traceback is a field, not lines of its own."""
    try:
        int("gone")
    except ValueError:
        log.exception("failed")
    assert "ValueError: invalid literal" in str(_line(stream)["error"])
    assert stream.getvalue().count("\n") == 1


def test_unknown_level_is_refused() -> None:
    """A misspelt level is an error at start, not silence."""
    with pytest.raises(ValueError, match="loud"):
        configure_logging("ingest", "loud", io.StringIO())
