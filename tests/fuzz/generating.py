"""The fast, seeded source of ingest requests: well-formed ones, edge values in them, splices of seeds, damaged wire.

Most requests pass the door, so that they reach the log; keys and page tokens seen in answers come back in later
requests. Must not know how requests are sent.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from tests.fuzz import values
from tests.fuzz.methods import INGEST, Method, Request, request_of
from tests.fuzz.policy import LONE_TENANT, POLICY_TENANT, SOURCES, TENANTS, TIME_S, policy_event
from tests.fuzz.seen import Seen
from tests.fuzz.wire import damage

from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2

DAMAGED: Final = 0.08
"""Share of requests whose wire form is damaged."""
SEEDED: Final = 0.12
"""Share of requests that are a seed as Hypothesis made it."""
ODD_EVENT: Final = 0.25
"""Share of events of which a field is put to an edge."""
REPEATED: Final = 0.08
"""Share of events that were sent before."""
LARGE_BATCH: Final = 0.0005
"""Share of requests with as many events as the contract allows, or one more."""
POLICY_SHARE: Final = 0.0002
"""Share of requests that state a policy: the only ones that cost tens of milliseconds."""
REPEATS_KEPT: Final = 512

_LOOKS: Final = ("GetEvent", "ListEvents", "ListQuarantine", "ListQuarantineGroups", "GetIngestStatus")
_PAGED: Final = ("ListEvents", "ListQuarantine")
_ENDS: Final = ("ReleaseQuarantined", "DiscardQuarantined")


class Generator:
    """An endless row of requests; *seen* feeds it what answers brought."""

    def __init__(self, chance_seed: int, corpus: Mapping[str, Sequence[bytes]], seen: Seen) -> None:
        self._chance = random.Random(chance_seed)
        self._corpus = corpus
        self._seen = seen
        self._repeats: list[event_pb2.Event] = []
        self._number = 0

    def unary(self) -> Request:
        """Return the next request of a method that is answered once."""
        if self._chance.random() < POLICY_SHARE:
            return self._policy()
        draw = self._chance.random()
        if draw < 0.55:
            name = "BatchRecordEvents" if draw < 0.3 else "RecordEvent"
        elif draw < 0.8:
            name = self._chance.choice(_LOOKS)
        else:
            name = self._chance.choice(_ENDS)
        return self._request(INGEST[name])

    def streamed(self) -> Request:
        """Return the next message of a stream."""
        return self._request(INGEST["StreamEvents"])

    def _request(self, method: Method) -> Request:
        draw = self._chance.random()
        if draw < SEEDED:
            return request_of(method, self._chance.choice(self._corpus[method.name]))
        message = self._message(method)
        if draw < SEEDED + DAMAGED:
            return request_of(method, damage(self._chance, message.SerializeToString()))
        return Request(method, message.SerializeToString(), message)

    def _message(self, method: Method) -> Any:
        message: Any = method.request()
        chance = self._chance
        message.tenant_id = LONE_TENANT if chance.random() < 0.01 else chance.choice(TENANTS)
        if method.name == "RecordEvent":
            message.event.CopyFrom(self._event())
        elif "events" in method.request.DESCRIPTOR.fields_by_name:
            message.events.extend(self._event() for _ in range(self._batch_size()))
            if method.streaming:
                message.batch_number = self._next()
        elif method.name != "GetIngestStatus":
            self._fill_look(message, method.name)
        if chance.random() < 0.02:
            self._to_edge(message)
        return message

    def _policy(self) -> Request:
        text = self._chance.choice(values.ODD_POLICIES)
        if self._chance.random() < 0.3:
            lines = text.splitlines(keepends=True)
            self._chance.shuffle(lines)
            text = "".join(lines[: self._chance.randint(1, 60)])
        payload = json.dumps({"document": text}).encode()
        message = ingest_pb2.RecordEventRequest(tenant_id=POLICY_TENANT, event=policy_event(payload))
        return Request(INGEST["RecordEvent"], message.SerializeToString(), message)

    def _batch_size(self) -> int:
        draw = self._chance.random()
        if draw < LARGE_BATCH:
            return self._chance.choice((999, 1000, 1001))
        return self._chance.choice((1, 1, 1, 1, 2, 3, 5)) if draw < 0.995 else 0

    def _event(self) -> event_pb2.Event:
        chance = self._chance
        if self._repeats and chance.random() < REPEATED:
            return chance.choice(self._repeats)
        object_name = values.valid_object(chance)
        number = self._next()
        event = event_pb2.Event(
            source=SOURCES[0] if chance.random() < 0.95 else chance.choice(values.NAMES),
            object=object_name,
            external_id=f"r-{number % 50_000}",
            event_time=values.stamp(TIME_S + number % 86_400, number % 1_000_000_000),
            operation=chance.choice((0, 1, 1, 1)),  # type: ignore[arg-type]
            payload=values.payload_of(chance, object_name),
        )
        if chance.random() < ODD_EVENT:
            self._oddity(event)
        self._remember(event)
        return event

    def _oddity(self, event: event_pb2.Event) -> None:
        chance = self._chance
        draw = chance.randrange(10)
        if draw == 0:
            event.request_id = f"q-{chance.randrange(2_000)}"
        elif draw == 1:
            event.trace.traceparent = chance.choice(values.TRACEPARENTS)
            event.trace.tracestate = chance.choice(values.TRACESTATES)
        elif draw == 2:
            event.operation = event_pb2.OPERATION_DELETE
            event.ClearField("payload")
        elif draw == 3:
            event.actor.type = chance.randrange(5)  # type: ignore[assignment]
            event.actor.id = chance.choice(values.TEXTS[:30])
        elif draw == 4:
            event.event_time.CopyFrom(values.stamp(*chance.choice(values.TIMES)))
        elif draw == 5:
            event.source_version = chance.choice(values.TEXTS[:30])
        else:
            self._to_edge(event)

    def _to_edge(self, message: Any) -> None:
        """Put one field to an edge of what it can hold."""
        field = self._chance.choice(message.DESCRIPTOR.fields)
        if field.is_repeated:
            return
        if field.message_type is not None:
            self._to_edge(getattr(message, field.name))
        elif field.type == FieldDescriptor.TYPE_STRING:
            setattr(message, field.name, self._chance.choice(values.TEXTS))
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, field.name, self._chance.choice(values.ODD_PAYLOADS))
        elif field.type == FieldDescriptor.TYPE_BOOL:
            setattr(message, field.name, not getattr(message, field.name))
        else:
            bits = 64 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 32
            number = self._chance.choice(values.INTEGERS) * self._chance.choice((1, -1))
            setattr(message, field.name, values.fit(number, bits, signed=True))

    def _fill_look(self, message: Any, name: str) -> None:
        chance = self._chance
        if name in {"GetEvent", *_ENDS}:
            pool = self._seen.quarantined if name in _ENDS and chance.random() < 0.8 else self._seen.recorded
            known = pool.pick(chance)
            if known is None or chance.random() < 0.05:
                message.event_key = chance.choice(values.KEYS)
            else:
                message.tenant_id, message.event_key = known
        if name in _ENDS:
            message.actor.type, message.actor.id = 1, "u-1"
            if name == "DiscardQuarantined":
                message.discard_reason = chance.choice(values.TEXTS) if chance.random() < 0.1 else "gone"
            else:
                message.payload = self._mended()
        if name.startswith("List"):
            message.page_size = chance.choice((0, 1, 3, 20, 500, 501, -1)) if chance.random() < 0.1 else 5
        if name in _PAGED:
            token = self._seen.tokens.pick(chance)
            message.page_token = token[1] if token and chance.random() < 0.5 else ""
            if chance.random() < 0.1:
                message.page_token = chance.choice(values.PAGE_TOKENS)
        if name == "ListEvents" and chance.random() < 0.5:
            message.record.source, message.record.object = SOURCES[0], "contact"
            message.record.external_id = f"r-{chance.randrange(50_000)}"

    def _mended(self) -> bytes:
        """Return what an operator puts in place of a payload that broke the contract; nothing keeps it."""
        chance = self._chance
        mended = (values.payload_for_any(chance), values.payload_of(chance, values.valid_object(chance)), b"")
        return chance.choices(mended, (2, 1, 1))[0]

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _remember(self, event: event_pb2.Event) -> None:
        if len(self._repeats) < REPEATS_KEPT:
            self._repeats.append(event)
        else:
            self._repeats[self._chance.randrange(REPEATS_KEPT)] = event
