"""The receiver's back-pressure and acknowledgement."""

import threading
from collections.abc import Iterable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from headwater.console.otlp import ResourceRows
from headwater.console.receiver import TraceReceiver
from headwater.kernel.errors import Overloaded

pytestmark = pytest.mark.anyio
NO_CONTEXT: Any = None


class SlowSink:
    """A store that finishes a write when it is let."""

    def __init__(self, *, rejects: int = 0) -> None:
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.written = 0
        self._rejects = rejects

    def write(self, groups: Iterable[ResourceRows]) -> int:
        """Take an export after the gate opened."""
        self.entered.set()
        self.gate.wait(10)
        self.written += sum(len(group.spans) for group in groups)
        return self._rejects


def _export() -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(
        trace_id=b"t" * 16, span_id=b"s" * 8, name="x" * 1_000
    )
    return request


async def test_export_is_acknowledged_only_once_it_is_stored() -> None:
    """No answer goes out while the store still writes."""
    sink = SlowSink()
    receiver = TraceReceiver(sink, pending_bytes_max=10_000)
    answered = False

    async def export() -> None:
        nonlocal answered
        await receiver.Export(_export(), NO_CONTEXT)
        answered = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(export)
        await anyio.to_thread.run_sync(sink.entered.wait, 5)
        assert not answered
        sink.gate.set()
    assert answered
    assert sink.written == 1


async def test_sender_is_told_to_come_again_when_too_much_waits() -> None:
    """Past the bound an export is refused at once, and taken again when the store caught up."""
    sink = SlowSink()
    receiver = TraceReceiver(sink, pending_bytes_max=1_500)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(receiver.Export, _export(), NO_CONTEXT)
        await anyio.to_thread.run_sync(sink.entered.wait, 5)
        with pytest.raises(Overloaded):
            await receiver.Export(_export(), NO_CONTEXT)
        sink.gate.set()
    await receiver.Export(_export(), NO_CONTEXT)
    assert (receiver.exports_refused, sink.written) == (1, 2)


async def test_single_export_past_the_bound_is_taken_when_nothing_waits() -> None:
    """The bound holds back what piles up; it does not make a large export impossible."""
    sink = SlowSink()
    sink.gate.set()
    await TraceReceiver(sink, pending_bytes_max=10).Export(_export(), NO_CONTEXT)
    assert sink.written == 1


async def test_left_out_spans_are_told_to_the_sender() -> None:
    """Broken spans come back as a partial success, as OTLP asks."""
    sink = SlowSink(rejects=3)
    sink.gate.set()
    answer = await TraceReceiver(sink, pending_bytes_max=10_000).Export(_export(), NO_CONTEXT)
    assert answer.partial_success.rejected_spans == 3
