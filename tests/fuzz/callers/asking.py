"""Requests of every method of every service: fields at their edges, ids that answers brought, damaged wire. Seeded.

Ids are kept in one pool for all tenants: what one tenant's answers named, another's caller asks for.
"""

from __future__ import annotations

import importlib
import pkgutil
import random
import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from tests.fuzz import values
from tests.fuzz.callers.people import TENANTS
from tests.fuzz.callers.planting import LINES, SOURCE, external_id, marked
from tests.fuzz.methods import Method, Request, request_of
from tests.fuzz.wire import damage

from headwater.identity import v1 as identity
from headwater.ingest import v1 as ingest
from headwater.kernel.ids import OBJECTS
from headwater.kernel.security.table import METHODS
from headwater.sync import v1 as sync

DAMAGED: Final = 0.06
"""Share of requests whose wire form is damaged."""
LEFT_OUT: Final = 0.35
"""Share of fields that are not set."""
PLAIN: Final = 0.5
"""Share of requests without a value at an edge: they come furthest."""
ONE_ODD: Final = 0.3
"""Share of requests with one value at an edge: nothing else stops them where that one would be looked at."""
EDGE: Final = 0.25
"""Share of texts and numbers of the others at an edge of what the field holds."""
FOREIGN: Final = 0.1
"""Share of requests that name no tenant, or one that is nobody's."""
NOBODY: Final = "nobody"
KEPT: Final = 400
DEPTH_MAX: Final = 4
ROWS_READ: Final = 4
"""Of a list in an answer."""
STRANGE: Final = 0.15
"""Share of ids that are of another kind than is asked for."""

_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WORDS: Final = (
    "contact",
    "merged",
    "OPEN",
    "salesforce",
    "hubspot",
    "email",
    "phone",
    "last_name",
    "billing",
    "1",
    "demo",
)


class Pool:
    """Ids that answers named, the newest `KEPT` of each name: an entity's is asked for where an entity's is wanted."""

    def __init__(self) -> None:
        self._ids: dict[str, deque[str]] = {}

    def note(self, answer: Message) -> None:
        """Take ids out of an answer."""
        self._walk(answer, 0)

    def pick(self, chance: random.Random, name: str) -> str:
        """Return an id for a field of that name; at times one of another kind, empty where none is known."""
        found = self._ids.get(name.removesuffix("s"))
        if not found or chance.random() < STRANGE:
            found = chance.choice(list(self._ids.values())) if self._ids else None
        return chance.choice(found) if found else ""

    def _walk(self, message: Message, depth: int) -> None:
        for one, value in message.ListFields():
            if one.message_type is not None:
                if depth < DEPTH_MAX and not one.message_type.GetOptions().map_entry:
                    for inner in value[:ROWS_READ] if one.is_repeated else (value,):
                        self._walk(inner, depth + 1)
            elif one.type == FieldDescriptor.TYPE_STRING:
                for text in value[:ROWS_READ] if one.is_repeated else (value,):
                    if _UUID.fullmatch(text):
                        self._ids.setdefault(one.name.removesuffix("s"), deque(maxlen=KEPT)).append(text)


def all_methods() -> Iterator[Method]:
    """Yield every method that the table of access knows, as the descriptors tell them; those of probes left out."""
    for package in (identity, ingest, sync):
        for found in pkgutil.iter_modules(package.__path__):
            if found.name.endswith("_pb2"):
                importlib.import_module(f"{package.__name__}.{found.name}")
    pool = descriptor_pool.Default()
    for path in METHODS:
        if path.startswith("/headwater."):
            one = pool.FindMethodByName(path[1:].replace("/", "."))
            request, response = GetMessageClass(one.input_type), GetMessageClass(one.output_type)
            yield Method(
                one.containing_service.full_name, one.name, path, request, response, one.client_streaming
            )


class Asking:
    """An endless row of requests."""

    def __init__(self, chance: random.Random, pool: Pool) -> None:
        self._chance, self._pool = chance, pool
        self._methods = list(all_methods())
        self._tenant, self._edge = NOBODY, 0.0
        self._makers: dict[int, Callable[[Any], Any]] = {
            FieldDescriptor.CPPTYPE_STRING: self._text,
            FieldDescriptor.CPPTYPE_BOOL: lambda _: chance.random() < 0.5,
            FieldDescriptor.CPPTYPE_ENUM: self._enum,
            FieldDescriptor.CPPTYPE_DOUBLE: lambda _: chance.choice(
                (0.0, 1.0, -1.0, 1e308, float("nan"), chance.random())
            ),
            FieldDescriptor.CPPTYPE_FLOAT: lambda _: chance.choice(
                (0.0, 1.0, -1.0, float("inf"), chance.random())
            ),
            FieldDescriptor.CPPTYPE_INT32: lambda _: self._integer(32, signed=True),
            FieldDescriptor.CPPTYPE_INT64: lambda _: self._integer(64, signed=True),
            FieldDescriptor.CPPTYPE_UINT32: lambda _: self._integer(32, signed=False),
            FieldDescriptor.CPPTYPE_UINT64: lambda _: self._integer(64, signed=False),
        }

    @property
    def methods(self) -> list[Method]:
        """All methods that are asked."""
        return self._methods

    def next(self) -> Request:
        """Return the next request."""
        chance = self._chance
        method = chance.choice(self._methods)
        tenant = (
            chance.choice(("", "t-none", "ACME")) if chance.random() < FOREIGN else chance.choice(TENANTS)
        )
        damaged = chance.random() < DAMAGED
        # What may end in another tenant's log bears no tenant's mark: who acts for one tenant need not name it.
        self._tenant = tenant if tenant in TENANTS and not damaged else NOBODY
        draw = chance.random()
        self._edge = 0.0 if draw < PLAIN + ONE_ODD else EDGE
        message: Any = self._message(method.request, 0)
        if PLAIN <= draw < PLAIN + ONE_ODD:
            self._make_odd(message)
        message.tenant_id = tenant
        wire = message.SerializeToString()
        return request_of(method, damage(chance, wire)) if damaged else Request(method, wire, message)

    def _make_odd(self, message: Message) -> None:
        """Put one of the values that are set to an edge."""
        places = list(_values(message))
        if places:
            self._edge = 1.0
            holder, one = self._chance.choice(places)
            value = self._makers[one.cpp_type](one)
            if one.is_repeated:
                getattr(holder, one.name)[0] = value
            else:
                setattr(holder, one.name, value)

    def _message(self, kind: type[Message], depth: int) -> Message:
        message = kind()
        for one in kind.DESCRIPTOR.fields:
            if self._chance.random() < LEFT_OUT or (one.message_type is not None and depth >= DEPTH_MAX):
                continue
            self._fill(message, one, depth)
        return message

    def _fill(self, message: Message, one: Any, depth: int) -> None:
        if one.message_type is not None and one.message_type.GetOptions().map_entry:
            if one.message_type.fields_by_name["value"].message_type is None:
                value = self._makers[one.message_type.fields_by_name["value"].cpp_type]
                getattr(message, one.name)[self._text(one)] = value(one.message_type.fields_by_name["value"])
        elif one.is_repeated:
            many = [self._value(one, depth) for _ in range(self._chance.choice((0, 1, 1, 2, 3)))]
            getattr(message, one.name).extend(many)
        elif one.message_type is not None:
            getattr(message, one.name).CopyFrom(self._value(one, depth))
        else:
            setattr(message, one.name, self._value(one, depth))

    def _value(self, one: Any, depth: int) -> Any:
        if one.message_type is None:
            return self._makers[one.cpp_type](one)
        if one.message_type.full_name == "google.protobuf.Timestamp":
            usual = self._chance.random() > self._edge
            return (
                values.stamp(LINES.time_s, 0) if usual else values.stamp(*self._chance.choice(values.TIMES))
            )
        return self._message(GetMessageClass(one.message_type), depth + 1)

    def _text(self, one: Any) -> Any:
        chance = self._chance
        if one.type == FieldDescriptor.TYPE_BYTES:
            return (
                chance.choice(values.ODD_PAYLOADS[:40])
                if chance.random() < self._edge
                else LINES.payload(chance, self._tenant)
            )
        if chance.random() < self._edge:
            return chance.choice(values.TEXTS)
        if one.name == "source":
            return chance.choice((SOURCE, SOURCE, "desk", "headwater", "operator"))
        if one.name == "object":
            return chance.choice(("contact", "contact", *OBJECTS))
        if one.name == "external_id":
            return external_id(chance.randrange(LINES.people), self._tenant)
        if one.name.endswith(("_id", "_ids", "_key", "_keys")) and (
            known := self._pool.pick(chance, one.name)
        ):
            return known
        if one.name == "page_token":
            return "" if chance.random() < 0.7 else chance.choice(values.PAGE_TOKENS)
        return chance.choice(_WORDS) if chance.random() < 0.7 else marked(self._tenant)

    def _enum(self, one: Any) -> int:
        if self._chance.random() < self._edge:
            return self._chance.choice((-1, 99, 2**31 - 1))
        return int(self._chance.choice(one.enum_type.values).number)

    def _integer(self, bits: int, *, signed: bool) -> int:
        if self._chance.random() > self._edge:
            return self._chance.choice((0, 1, 2, 5, 10))
        number = self._chance.choice(values.INTEGERS) * self._chance.choice((1, -1))
        return values.fit(number, bits, signed=signed)


def _values(message: Message) -> Iterator[tuple[Message, Any]]:
    """Yield the fields of a message, and of those in it, that hold values."""
    for one, value in message.ListFields():
        if one.message_type is None:
            yield message, one
        elif not one.message_type.GetOptions().map_entry:
            for inner in value if one.is_repeated else (value,):
                yield from _values(inner)
