"""The IngestService of the wire contract: each method translates, asks one use case, translates back."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from headwater.ingest.domain.envelope import check_tenant, record_violations, text_violations
from headwater.ingest.domain.event import Disposition, QuarantineFilter
from headwater.ingest.domain.keys import key_text
from headwater.ingest.domain.paging import SEQ_MAX
from headwater.ingest.domain.refusal import refusal_error
from headwater.ingest.rpc.fates import SyncFates
from headwater.ingest.rpc.outcomes import write_batch_answer
from headwater.ingest.rpc.standing import write_standing
from headwater.ingest.rpc.streaming import StreamCall, StreamSettings
from headwater.ingest.rpc.translate import (
    read_actor,
    read_arrival,
    write_outcome,
    write_quarantine_group,
    write_quarantined,
    write_recorded,
)
from headwater.ingest.usecases.reading import Inspector, Record
from headwater.ingest.usecases.recording import Recorder
from headwater.ingest.usecases.releasing import Releaser
from headwater.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from headwater.kernel.errors import FieldViolation, InvalidInput
from headwater.kernel.ids import EXTERNAL_ID_CHARS_MAX, parse_uuid
from headwater.kernel.lifecycle import Shutdown
from headwater.kernel.telemetry.rpc import server_span_context

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class RpcSettings:
    """How calls are held.

    Args:
        deadline_required: whether recording calls that state none are refused.
        deadline_default_s: of calls that state none, where they may.
        deadline_max_s: no recording call waits longer, whatever it states.
        answer_margin_s: how long before the caller's deadline it is told that the outcome is not known.
    """

    deadline_required: bool = True
    deadline_default_s: float = 10.0
    deadline_max_s: float = 60.0
    answer_margin_s: float = 0.1
    stream: StreamSettings = field(default_factory=StreamSettings)


class IngestRpc(ingest_pb2_grpc.IngestServiceServicer):
    """Serves ingest; errors leave as `HeadwaterError`s, which the interceptor turns into statuses."""

    def __init__(
        self,
        recorder: Recorder,
        inspector: Inspector,
        releaser: Releaser,
        fates: SyncFates,
        settings: RpcSettings,
        shutdown: Shutdown,
    ) -> None:
        self._recorder = recorder
        self._inspector = inspector
        self._releaser = releaser
        self._fates = fates
        self._settings = settings
        self._shutdown = shutdown

    async def RecordEvent(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.RecordEventRequest, context: Context
    ) -> ingest_pb2.RecordEventResponse:
        """Record one event."""
        (outcome,) = await self._recorder.record(
            request.tenant_id,
            [read_arrival(request.event)],
            call=server_span_context(),
            wait_s=self._recording_wait_s(context),
        )
        if outcome.disposition is Disposition.REFUSED:
            raise refusal_error(outcome)
        return ingest_pb2.RecordEventResponse(outcome=write_outcome(outcome))

    async def BatchRecordEvents(  # type: ignore[override]  # noqa: N802 - bytes, not a message
        self, request: ingest_pb2.BatchRecordEventsRequest, context: Context
    ) -> bytes:
        """Record a batch in one commit; answers with the response's bytes (see `add_to_server`)."""
        outcomes = await self._recorder.record(
            request.tenant_id,
            [read_arrival(event) for event in request.events],
            call=server_span_context(),
            wait_s=self._recording_wait_s(context),
        )
        return write_batch_answer(outcomes)

    async def StreamEvents(  # type: ignore[override]  # noqa: N802 - a handler that writes: the stubs know generators only
        self, request_iterator: AsyncIterator[ingest_pb2.StreamEventsRequest], context: Context
    ) -> None:
        """Record batches as they come, acknowledging each; writes bytes."""
        call = StreamCall(self._recorder, self._settings.stream, self._shutdown, server_span_context())
        await call.serve(request_iterator, context.write)

    async def GetEvent(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.GetEventRequest, context: Context
    ) -> ingest_pb2.GetEventResponse:
        """Return one event, with its fate when asked for."""
        _check(request.tenant_id)
        if request.event_id:
            event_id = _read_id(request)
            recorded, entry = await self._inspector.event_by_id(request.tenant_id, event_id)
        else:
            key = _read_key(request.event_key)
            recorded, entry = await self._inspector.event(request.tenant_id, key)
        response = ingest_pb2.GetEventResponse(event=write_recorded(recorded))
        if entry is not None:
            response.quarantine.CopyFrom(write_quarantined(entry))
        if request.with_fate:
            shown = key_text(recorded.event.event_key)
            found = await self._fates.fate_of(request.tenant_id, shown, wait_s=self._wait_s(context))
            response.fate_missing_reason = found.missing_reason
            if found.fate is not None:
                response.fate.CopyFrom(found.fate)
        return response

    async def ListEvents(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.ListEventsRequest, context: Context
    ) -> ingest_pb2.ListEventsResponse:
        """Return a page of events."""
        del context
        _check(request.tenant_id)
        record = _read_record(request)
        events, token = await self._inspector.events(
            request.tenant_id, record, page_size=request.page_size, page_token=request.page_token
        )
        return ingest_pb2.ListEventsResponse(
            events=[write_recorded(item) for item in events], next_page_token=token
        )

    async def ListQuarantine(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.ListQuarantineRequest, context: Context
    ) -> ingest_pb2.ListQuarantineResponse:
        """Return a page of the task list."""
        del context
        _check(request.tenant_id)
        entries, token = await self._inspector.quarantined(
            request.tenant_id,
            _read_filter(request),
            page_size=request.page_size,
            page_token=request.page_token,
            include_closed=request.include_closed,
        )
        return ingest_pb2.ListQuarantineResponse(
            events=[write_quarantined(item) for item in entries], next_page_token=token
        )

    async def ListQuarantineGroups(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.ListQuarantineGroupsRequest, context: Context
    ) -> ingest_pb2.ListQuarantineGroupsResponse:
        """Return the task list grouped by what its events break."""
        del context
        _check(request.tenant_id)
        groups = await self._inspector.quarantine_groups(request.tenant_id, page_size=request.page_size)
        return ingest_pb2.ListQuarantineGroupsResponse(
            groups=[write_quarantine_group(item) for item in groups]
        )

    async def ReleaseQuarantined(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.ReleaseQuarantinedRequest, context: Context
    ) -> ingest_pb2.ReleaseQuarantinedResponse:
        """Put a quarantined event into the log."""
        del context
        _check(request.tenant_id)
        released_as = await self._releaser.release(
            request.tenant_id,
            _read_key(request.event_key),
            payload=request.payload,
            actor=read_actor(request.actor),
            call=server_span_context(),
        )
        return ingest_pb2.ReleaseQuarantinedResponse(released_as=str(released_as))

    async def DiscardQuarantined(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.DiscardQuarantinedRequest, context: Context
    ) -> ingest_pb2.DiscardQuarantinedResponse:
        """End a quarantined event with a reason."""
        del context
        _check(request.tenant_id)
        await self._releaser.discard(
            request.tenant_id,
            _read_key(request.event_key),
            request.discard_reason,
            read_actor(request.actor),
        )
        return ingest_pb2.DiscardQuarantinedResponse()

    async def GetIngestStatus(  # noqa: N802 - named by the contract
        self, request: ingest_pb2.GetIngestStatusRequest, context: Context
    ) -> ingest_pb2.GetIngestStatusResponse:
        """Count a tenant's log."""
        del context
        _check(request.tenant_id)
        return write_standing(await self._inspector.status(request.tenant_id))

    def _recording_wait_s(self, context: Context) -> float:
        """Return how long the caller of a recording call waits, within bounds.

        Raises:
            InvalidInput: the call states no deadline, and has to.
        """
        if self._settings.deadline_required and context.time_remaining() is None:
            raise _deadline_required(self._settings.deadline_max_s)
        return self._wait_s(context)

    def _wait_s(self, context: Context) -> float:
        """Return how long the caller waits, less the time to tell it."""
        remaining_s: float | None = context.time_remaining()
        if remaining_s is None:
            remaining_s = self._settings.deadline_default_s
        remaining_s = min(remaining_s, self._settings.deadline_max_s)
        return max(remaining_s - min(self._settings.answer_margin_s, remaining_s / 10), 0.001)


def add_to_server(rpc: IngestRpc, server: grpc.aio.Server) -> None:
    """Register every method; those that answer with bytes take the place of the generated ones.

    Of generic handlers the first found serves, of registered ones the last given; registered ones go first.
    """
    own: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "BatchRecordEvents": grpc.unary_unary_rpc_method_handler(
            rpc.BatchRecordEvents,
            request_deserializer=ingest_pb2.BatchRecordEventsRequest.FromString,
            response_serializer=_as_it_is,
        ),
        "StreamEvents": grpc.stream_stream_rpc_method_handler(
            rpc.StreamEvents,
            request_deserializer=ingest_pb2.StreamEventsRequest.FromString,
            response_serializer=_as_it_is,
        ),
    }
    name = ingest_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, own),))
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(rpc, server)
    server.add_registered_method_handlers(name, own)


def _as_it_is(answer: bytes) -> bytes:
    return answer


def _deadline_required(max_s: float) -> InvalidInput:
    rule = f"set one on the call, as `stub.RecordEvent(request, timeout=10)`: at most {max_s:g} s are waited"
    broken = FieldViolation("deadline", "", "required", rule)
    message = f"a recording call must state its deadline; {rule}"
    return InvalidInput(message, violations=(broken,), reason="DEADLINE_REQUIRED")


def _check(tenant_id: str) -> None:
    if violations := check_tenant(tenant_id):
        raise InvalidInput("the request is malformed", violations=violations)


def _read_record(request: ingest_pb2.ListEventsRequest) -> Record | None:
    if not request.HasField("record"):
        return None
    named = request.record
    violations = tuple(record_violations(named.source, named.object, named.external_id))
    if violations:
        raise InvalidInput("the request is malformed", violations=violations)
    return Record(named.source, named.object, named.external_id)


def _read_filter(request: ingest_pb2.ListQuarantineRequest) -> QuarantineFilter:
    violations = [
        *text_violations("rule", request.rule, EXTERNAL_ID_CHARS_MAX),
        *text_violations("field", request.field, EXTERNAL_ID_CHARS_MAX),
        *text_violations("source", request.source, EXTERNAL_ID_CHARS_MAX),
    ]
    if violations:
        raise InvalidInput("the request is malformed", violations=tuple(violations))
    return QuarantineFilter(request.rule, request.field, request.source)


def _read_id(request: ingest_pb2.GetEventRequest) -> int:
    shown = str(request.event_id)
    if request.event_key:
        broken = FieldViolation("event_id", shown, "one_of", "give event_key or event_id, not both")
    elif not 0 < request.event_id < SEQ_MAX:
        broken = FieldViolation("event_id", shown, "range", f"1..{SEQ_MAX - 1}")
    else:
        return request.event_id
    raise InvalidInput("the request is malformed", violations=(broken,))


def _read_key(text: str) -> uuid.UUID:
    key = parse_uuid(text)
    if key is None:
        broken = FieldViolation("event_key", text[:128], "uuid", "must be a UUID of 36 characters")
        raise InvalidInput("the request is malformed", violations=(broken,))
    return key
