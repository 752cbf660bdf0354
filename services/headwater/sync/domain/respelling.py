"""What a record said, in the spelling that another policy wants. Pure.

A record keeps what its source said beside each value that was brought into another spelling, so a change of the rules
needs no event to be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from msgspec import structs

from headwater.kernel.ids import OPERATOR_SOURCE, ObjectName
from headwater.policy.document import PolicyDocument
from headwater.policy.normalising import geography
from headwater.policy.objects import FieldPolicy
from headwater.policy.survivorship import FieldFact
from headwater.policy.systems import InboundField
from headwater.policy.values import Broken, read_value
from headwater.sync.domain.log import RecordKey
from headwater.sync.domain.reading import RecordReading


def respell(document: PolicyDocument, key: RecordKey, facts: Mapping[str, FieldFact]) -> dict[str, FieldFact]:
    """Return the facts of a record that are spelt otherwise under *document*; what its contract refuses stays."""
    policy = document.objects.get(cast("ObjectName", key.object))
    if policy is None or not (policy.normalises or any(fact.raw is not None for fact in facts.values())):
        return {}
    readings = _readings(document, key)
    found: dict[str, FieldFact] = {}
    for name, fact in sorted(facts.items(), key=lambda item: _asks_country(policy.fields.get(item[0]))):
        field = policy.fields.get(name)
        if field is None or fact.value is None or (field.steps is None and fact.raw is None):
            continue
        said = fact.value if fact.raw is None else fact.raw
        reading = (
            readings.get(name, InboundField(field=name)) if fact.raw is not None else InboundField(field=name)
        )
        value = read_value(field, reading, said, _country(field, {**facts, **found}))
        if not isinstance(value, Broken) and value is not None and value != fact.value:
            raw = said if value != said else None
            found[name] = FieldFact(value, fact.field_time, fact.event_key, raw)
    return found


def respelt(document: PolicyDocument, reading: RecordReading) -> RecordReading:
    """Return what a former policy has read, in the spelling of *document*, as renewing the record would leave it."""
    event = reading.event
    facts = {
        name: FieldFact(value, event.event_time, event.event_key, reading.raw.get(name))
        for name, value in reading.fields.items()
    }
    found = respell(document, reading.subject.key, facts)
    if not found:
        return reading
    raw = {name: said for name, said in reading.raw.items() if name not in found}
    return structs.replace(
        reading,
        fields={**reading.fields, **{name: fact.value for name, fact in found.items()}},
        raw={**raw, **{name: fact.raw for name, fact in found.items() if fact.raw is not None}},
    )


def _readings(document: PolicyDocument, key: RecordKey) -> Mapping[str, InboundField]:
    system = document.systems.get(key.source) if key.source != OPERATOR_SOURCE else None
    inbound = system.inbound.get(cast("ObjectName", key.object)) if system else None
    return {} if inbound is None else {reading.field: reading for _, reading in inbound.readings()}


def _asks_country(field: FieldPolicy | None) -> bool:
    return field is not None and field.steps is not None and field.steps.asks_country


def _country(field: FieldPolicy, facts: Mapping[str, FieldFact]) -> str:
    fact = facts.get(field.country_field) if field.country_field else None
    named: Any = None if fact is None else fact.value
    return geography.code_of(named) if isinstance(named, str) else ""
