"""Hypothesis strategies of messages, made from their descriptors alone, and of their damaged wire forms.

`message_strategy` knows no message of ours: what fields of a name should hold at times (a tenant, a page token)
comes from *hints*.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st
from tests.fuzz import values
from tests.fuzz.policy import LONE_TENANT, TENANTS
from tests.fuzz.wire import damage

Hints = Mapping[str, st.SearchStrategy[Any]]
NO_HINTS: Final[Hints] = MappingProxyType({})
DEPTH_MAX: Final = 4
ITEMS_MAX: Final = 4

_INT_BITS: Final = {
    FieldDescriptor.CPPTYPE_INT32: (32, True),
    FieldDescriptor.CPPTYPE_INT64: (64, True),
    FieldDescriptor.CPPTYPE_UINT32: (32, False),
    FieldDescriptor.CPPTYPE_UINT64: (64, False),
    FieldDescriptor.CPPTYPE_ENUM: (32, True),
}

texts: Final[st.SearchStrategy[str]] = st.one_of(
    st.sampled_from(values.TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=64)
)
json_values: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
payloads: Final[st.SearchStrategy[bytes]] = st.one_of(
    st.sampled_from(values.ODD_PAYLOADS),
    st.dictionaries(st.text(max_size=8), json_values, max_size=5).map(lambda item: json.dumps(item).encode()),
    st.builds(
        lambda seed, name: values.payload_of(random.Random(seed), name),
        st.integers(0, 2**32),
        st.sampled_from(values.OBJECT_NAMES),
    ),
    st.binary(max_size=64),
)

INGEST_HINTS: Final[Hints] = {
    "tenant_id": st.sampled_from((*TENANTS, *TENANTS, LONE_TENANT)),
    "source": st.sampled_from(values.NAMES),
    "object": st.sampled_from(values.OBJECT_NAMES),
    "payload": payloads,
    "event_key": st.sampled_from(values.KEYS) | st.uuids().map(str),
    "page_token": st.sampled_from(values.PAGE_TOKENS),
    "traceparent": st.sampled_from(values.TRACEPARENTS),
    "tracestate": st.sampled_from(values.TRACESTATES),
}
"""What the fields of ingest's requests hold two times in three."""


def message_strategy(
    descriptor: Any, hints: Hints = NO_HINTS, depth_max: int = DEPTH_MAX
) -> st.SearchStrategy[Message]:
    """Return messages of a type: every field at times absent, at its edges, or beyond its meaning.

    Args:
        hints: by field name, what that field holds two times in three.
        depth_max: messages inside messages; deeper ones are left out.
    """
    fields = [
        (item, _field_strategy(item, hints, depth_max))
        for item in descriptor.fields
        if depth_max > 0 or item.message_type is None
    ]
    kind = GetMessageClass(descriptor)

    @st.composite
    def build(draw: st.DrawFn) -> Message:
        message = kind()
        for field, strategy in fields:
            if draw(st.integers(0, 7)):
                _set(message, field, draw(strategy))
        return message

    return build()


def _field_strategy(field: FieldDescriptor, hints: Hints, depth_max: int) -> st.SearchStrategy[Any]:
    single = _single_strategy(field, hints, depth_max)
    hint = hints.get(field.name)
    if hint is not None:
        single = st.one_of(hint, hint, single)
    return st.lists(single, max_size=ITEMS_MAX) if field.is_repeated else single


def _single_strategy(field: FieldDescriptor, hints: Hints, depth_max: int) -> st.SearchStrategy[Any]:
    if field.message_type is not None:
        if field.message_type.full_name == "google.protobuf.Timestamp":
            return _times()
        return message_strategy(field.message_type, hints, depth_max - 1)
    if field.cpp_type in _INT_BITS:
        return _integers(field)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
        return st.floats(width=32)
    return st.binary(max_size=64) if field.type == FieldDescriptor.TYPE_BYTES else texts


def _integers(field: FieldDescriptor) -> st.SearchStrategy[int]:
    bits, signed = _INT_BITS[field.cpp_type]
    edges = st.builds(
        lambda number, sign: values.fit(number * sign, bits, signed=signed),
        st.sampled_from(values.INTEGERS),
        st.sampled_from((1, -1)),
    )
    if field.enum_type is None:
        return edges
    return st.sampled_from([item.number for item in field.enum_type.values]) | edges


@st.composite
def _times(draw: st.DrawFn) -> Message:
    seconds, nanos = draw(st.sampled_from(values.TIMES))
    return values.stamp(seconds, nanos)


def _set(message: Message, field: FieldDescriptor, value: Any) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for entry in value:
            _set_entry(getattr(message, field.name), entry)
    elif field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _set_entry(entries: Any, entry: Any) -> None:
    if isinstance(entry.value, Message):
        entries[entry.key].CopyFrom(entry.value)
    else:
        entries[entry.key] = entry.value


def wire_strategy(descriptor: Any, hints: Hints = NO_HINTS) -> st.SearchStrategy[bytes]:
    """Return wire forms of a type's messages: whole ones and damaged ones."""
    whole = message_strategy(descriptor, hints).map(lambda item: item.SerializeToString())
    broken = st.builds(lambda wire, seed: damage(random.Random(seed), wire), whole, st.integers(0, 2**32))
    return st.one_of(whole, whole, broken)
