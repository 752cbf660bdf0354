"""How facts and values look inside jsonb: compact lists, moments as microseconds since 1970. Pure.

All fields that one event stated share its key and its time, so reading and writing them is remembered: of the five
fields of a usual contact four cost a look-up in place of a parse.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from headwater.policy.survivorship import Chosen, FieldFact

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_REMEMBERED: Final = 4096
"""Keys and times remembered: those of a few batches."""


@lru_cache(maxsize=_REMEMBERED)
def to_micros(moment: dt.datetime) -> int:
    """Return *moment* in microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=_REMEMBERED)
def from_micros(micros: int) -> dt.datetime:
    """Return the moment *micros* microseconds after 1970."""
    return _EPOCH + micros * _MICROSECOND


_key_of = lru_cache(maxsize=_REMEMBERED)(uuid.UUID)
_text_of = lru_cache(maxsize=_REMEMBERED)(str)


def pack_facts(facts: Mapping[str, FieldFact]) -> dict[str, list[Any]]:
    """Return facts as `sync.record.fields` holds them."""
    return {
        name: [fact.value, to_micros(fact.field_time), _text_of(fact.event_key)]
        if fact.raw is None
        else [fact.value, to_micros(fact.field_time), _text_of(fact.event_key), fact.raw]
        for name, fact in facts.items()
    }


def unpack_facts(packed: Mapping[str, list[Any]]) -> dict[str, FieldFact]:
    """Return the facts of `sync.record.fields`."""
    return {
        name: FieldFact(value, from_micros(micros), _key_of(key), *raw)
        for name, (value, micros, key, *raw) in packed.items()
    }


def pack_values(values: Mapping[str, Chosen]) -> dict[str, list[Any]]:
    """Return chosen values as `sync.entity.fields` holds them."""
    return {
        name: [item.value, item.rule, item.source, _text_of(item.event_key), to_micros(item.field_time)]
        for name, item in values.items()
    }


def unpack_values(packed: Mapping[str, list[Any]]) -> dict[str, Chosen]:
    """Return the chosen values of `sync.entity.fields`."""
    return {
        name: Chosen(value, rule, source, _key_of(key), from_micros(micros))
        for name, (value, rule, source, key, micros) in packed.items()
    }


def plain_values(packed: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Return the values of `sync.entity.fields` without their provenance."""
    return {name: item[0] for name, item in packed.items()}
