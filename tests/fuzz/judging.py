"""What an answer must never be: the rules of a run, each breach by name. Pure but for what it notes in `Seen`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import msgspec
from grpc import StatusCode
from tests.fuzz.methods import Request
from tests.fuzz.policy import POLICY_TENANT, TENANTS
from tests.fuzz.seen import Seen

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.ids import OBJECTS, TENANT_PATTERN, ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise

NEVER: Final = frozenset(
    {
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.DATA_LOSS,
        StatusCode.UNIMPLEMENTED,
        StatusCode.CANCELLED,
        StatusCode.UNAVAILABLE,
        StatusCode.DEADLINE_EXCEEDED,
    }
)
"""Codes that no request may bring about on a healthy machine."""
LATE: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED})
"""Codes that a call with hardly any time may end with."""
SMALL_BYTES: Final = 1024 * 1024
"""A request below that is never too large."""
EVENTS_MAX: Final = 1000

_DISPOSITIONS: Final = frozenset({1, 2, 3, 4})
_decode = msgspec.json.Decoder().decode
_Canonicalise = Callable[[PolicyDocument, str, ObjectName, Mapping[str, Any]], Any]


def kills_stream(request: Request) -> bool:
    """Tell whether a stream must end with this message: it is malformed as a whole."""
    message = cast("ingest_pb2.StreamEventsRequest | None", request.message)
    return (
        message is None
        or not 1 <= len(message.events) <= EVENTS_MAX
        or not TENANT_PATTERN.fullmatch(message.tenant_id)
    )


def events_of(request: Request) -> list[event_pb2.Event]:
    """Return the events that a request asks to record."""
    message: Any = request.message
    if message is None:
        return []
    if isinstance(message, ingest_pb2.RecordEventRequest):
        return [message.event]
    if isinstance(message, (ingest_pb2.BatchRecordEventsRequest, ingest_pb2.StreamEventsRequest)):
        return list(message.events)
    return []


class Judge:
    """Holds answers to the rules; *policy* is in force for `TENANTS`."""

    def __init__(self, seen: Seen, policy: PolicyDocument, project: _Canonicalise = canonicalise) -> None:
        self._seen = seen
        self._policy = policy
        self._project = project

    def failed(self, request: Request, code: StatusCode, details: str, *, hasty: bool = False) -> str:
        """Return the breach in a status other than OK, empty when it may be.

        Args:
            details: what the status says.
            hasty: the call was given hardly any time.
        """
        if code in NEVER and not (hasty and code in LATE):
            return f"{code.name}: {details[:300]}"
        if code in LATE:
            self._lose(request)
        if request.message is None and code is not StatusCode.INVALID_ARGUMENT and not hasty:
            return f"undecodable bytes answered {code.name}"
        if (
            code is StatusCode.RESOURCE_EXHAUSTED
            and len(request.wire) < SMALL_BYTES
            and "send again" not in details
        ):
            return f"small request answered RESOURCE_EXHAUSTED: {details[:300]}"
        return ""

    def answered(self, request: Request, answer: Any) -> str:
        """Return the breach in an answer, empty when it keeps the contract."""
        if request.message is None:
            return "undecodable bytes answered OK"
        message: Any = request.message
        return next(self._breaches(message, answer), "")

    def _breaches(self, message: Any, answer: Any) -> Iterator[str]:
        if isinstance(answer, ingest_pb2.RecordEventResponse):
            if not answer.HasField("outcome") or answer.outcome.disposition == ingest_pb2.DISPOSITION_REFUSED:
                yield "RecordEvent answered without an outcome, or with REFUSED"
            else:
                yield from self._outcomes(message.tenant_id, [message.event], [answer.outcome])
        elif isinstance(answer, (ingest_pb2.BatchRecordEventsResponse, ingest_pb2.StreamEventsResponse)):
            if len(answer.outcomes) != len(message.events):
                yield f"{len(message.events)} events, {len(answer.outcomes)} outcomes"
            if (
                isinstance(answer, ingest_pb2.StreamEventsResponse)
                and answer.batch_number != message.batch_number
            ):
                yield f"batch {message.batch_number} answered as {answer.batch_number}"
            yield from self._outcomes(message.tenant_id, message.events, answer.outcomes)
        elif isinstance(answer, ingest_pb2.ReleaseQuarantinedResponse):
            if not _is_key(answer.released_as):
                yield f"released as {answer.released_as!r}"
            else:
                self._seen.note(message.tenant_id, answer.released_as, quarantined=False)
        else:
            yield from self._looks(message, answer)

    def _looks(self, message: Any, answer: Any) -> Iterator[str]:
        if isinstance(answer, ingest_pb2.GetEventResponse):
            found = answer.event
            asked = message.event_key.lower()
            if not _is_key(found.event_key) or (asked and found.event_key != asked):
                yield f"asked for {message.event_key!r}, answered {found.event_key!r}"
            if found.tenant_id != message.tenant_id:
                yield f"asked as {message.tenant_id!r}, answered an event of {found.tenant_id!r}"
        elif isinstance(answer, (ingest_pb2.ListEventsResponse, ingest_pb2.ListQuarantineResponse)):
            most = message.page_size or 50
            if len(answer.events) > most:
                yield f"{len(answer.events)} events on a page of {most}"
            if answer.next_page_token:
                self._seen.tokens.add(message.tenant_id, answer.next_page_token)

    def _outcomes(self, tenant: str, events: Any, outcomes: Any) -> Iterator[str]:
        for event, outcome in zip(events, outcomes, strict=False):
            yield from self._outcome(tenant, event, outcome)

    def _outcome(
        self, tenant: str, event: event_pb2.Event, outcome: ingest_pb2.EventOutcome
    ) -> Iterator[str]:
        disposition = outcome.disposition
        if disposition not in _DISPOSITIONS:
            yield f"outcome without disposition ({disposition})"
        refused = disposition == ingest_pb2.DISPOSITION_REFUSED
        if not _is_key(outcome.event_key) and not (refused and not outcome.event_key):
            yield f"event key {outcome.event_key!r} is no UUID"
            return
        if refused:
            if not outcome.reason or not outcome.violations:
                yield "refused without a reason or a violation"
            if outcome.reason == "ROWS_REJECTED":
                yield "well-formed for the door, refused by the database"
            return
        if disposition == ingest_pb2.DISPOSITION_QUARANTINED and not outcome.violations:
            yield "quarantined without a violation"
        quarantined = disposition == ingest_pb2.DISPOSITION_QUARANTINED
        self._seen.note(tenant, outcome.event_key, quarantined=quarantined)
        if disposition == ingest_pb2.DISPOSITION_ACCEPTED and tenant in TENANTS:
            yield from self._projection(event)

    def _projection(self, event: event_pb2.Event) -> Iterator[str]:
        """Read an accepted event as the projector does."""
        if event.object not in OBJECTS or event.operation == event_pb2.OPERATION_DELETE:
            return
        name = event.object
        try:
            read = self._project(self._policy, event.source, name, _decode(event.payload))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            yield f"accepted, but the projection raises {type(error).__name__}: {str(error)[:200]}"
            return
        if read.violations:
            yield f"accepted, but the projection finds {read.violations[0]}"

    def _lose(self, request: Request) -> None:
        tenant = getattr(request.message, "tenant_id", "")
        self._seen.uncertain[tenant] += len(events_of(request)) or 1

    def missing(self, request: Request, code: StatusCode) -> str:
        """Return the breach in NOT_FOUND for an event that is in the log."""
        message: Any = request.message
        if code is not StatusCode.NOT_FOUND or request.method.name != "GetEvent" or message is None:
            return ""
        if not message.event_id and self._seen.knows(message.tenant_id, message.event_key):
            return f"event {message.event_key} of {message.tenant_id!r} was acknowledged and is not found"
        return ""


def _is_key(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


RUN_TENANTS: Final = (*TENANTS, POLICY_TENANT)
"""Tenants whose counts are compared with what answers said at the end."""
