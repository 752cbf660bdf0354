"""Event keys: what makes an event the same, and how keys are ordered."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.ingest.arrivals import NOW_US, arrival, new_event

from headwater.ingest.domain.event import Actor
from headwater.ingest.domain.keys import (
    SHARDS,
    identify,
    key_text,
    shard_of,
    stem_of,
)
from headwater.kernel.record_hash import record_hash, tenant_range

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(TEXT, VALUES, max_size=5)


def _permuted(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        items = [(key, _permuted(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    return [_permuted(item, chance) for item in value] if isinstance(value, list) else value


@given(PAYLOADS, st.randoms(use_true_random=False))
def test_the_order_of_json_keys_changes_nothing(payload: dict[str, Any], chance: random.Random) -> None:
    """At any depth, a permutation of keys has the same key and content hash."""
    one, two = new_event(payload), new_event(_permuted(payload, chance))
    assert (one.event_key, one.content_hash) == (two.event_key, two.content_hash)


@given(PAYLOADS, PAYLOADS)
def test_another_payload_is_another_event(one: dict[str, Any], two: dict[str, Any]) -> None:
    """Payloads that differ in any value differ in key and content hash."""
    assume(repr(one) != repr(two) and one != two)
    assert new_event(one).event_key != new_event(two).event_key
    assert new_event(one).content_hash != new_event(two).content_hash


@pytest.mark.parametrize(
    "change",
    [
        {"source": "other"},
        {"object": "lead"},
        {"external_id": "c-2"},
        {"source_version": "v2"},
        {"event_time_us": NOW_US - 2},
        {"operation": 2, "payload": b""},
    ],
)
def test_each_part_of_the_fact_is_part_of_the_key(change: dict[str, Any]) -> None:
    """Changing one part makes another event."""
    assert new_event().event_key != new_event(**change).event_key


@given(st.integers(0, NOW_US), st.integers(0, NOW_US))
def test_keys_are_ordered_by_the_milliseconds_of_the_event_time(one: int, two: int) -> None:
    """An event a millisecond later has the greater key, whatever it says."""
    assume(one // 1000 != two // 1000)
    earlier, later = sorted((one, two))
    assert new_event(event_time_us=earlier).event_key < new_event(event_time_us=later).event_key


@given(PAYLOADS, st.integers(0, NOW_US))
def test_a_request_id_alone_makes_the_key(payload: dict[str, Any], time_us: int) -> None:
    """With it the content moves the content hash only."""
    one = new_event({"email": "x@example.com"}, request_id="r")
    two = new_event(payload, request_id="r", event_time_us=time_us, external_id="else")
    assert one.event_key == two.event_key
    assert one.content_hash != two.content_hash
    assert one.event_key != new_event(request_id="r", source="other").event_key


def test_no_two_framings_coincide() -> None:
    """Parts cannot flow into each other."""
    one = new_event(external_id="a", source_version="bc")
    two = new_event(external_id="ab", source_version="c")
    assert one.event_key != two.event_key


def test_the_trace_is_no_part_of_the_meaning() -> None:
    """A retry under another trace is a duplicate."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert new_event(traceparent=trace).content_hash == new_event().content_hash


def test_keys_do_not_change_between_releases() -> None:
    """The ledger of every installation hangs on these bytes."""
    assert key_text(new_event().event_key) == "0199c82c-bc18-c88e-cfec-ba509a121110"
    assert key_text(new_event(request_id="r-1").event_key) == "247000a5-adf5-b1a0-ffc0-c357faa30df9"
    assert new_event().content_hash.hex() == "fc44781eb05b63b0"


@given(TEXT)
def test_events_of_a_record_share_a_shard(external_id: str) -> None:
    """The shard hangs on tenant, source, object and external id, and lies in the range published."""
    hashed = record_hash("acme", "webshop", "contact", external_id)
    assert hashed == record_hash("acme", "webshop", "contact", external_id)
    assert -(2**31) <= hashed < 2**31
    assert 0 <= shard_of(hashed) < SHARDS


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
FACTS = st.tuples(
    st.sampled_from(["a", "ab", "b"]),
    st.sampled_from(["contact", "lead"]),
    TEXTS.filter(bool),
    TEXTS,
    st.integers(0, 3),
    st.sampled_from([1, 2]),
    st.builds(Actor, st.integers(0, 3), TEXTS, TEXTS),
    TEXTS,
    st.sampled_from([b"", b"{}", b'{"a":1}']),
)


def _identified(fact: tuple[Any, ...]) -> tuple[bytes, bytes]:
    source, object_name, external_id, version, time_us, operation, actor, request_id, canonical = fact
    sent = arrival(
        source=source, object=object_name, external_id=external_id, source_version=version, actor=actor,
        request_id=request_id,
    )  # fmt: skip
    return identify("t", stem_of("t", source, object_name), sent, time_us, operation, canonical)[:2]


@given(FACTS)
def test_the_log_finds_a_record_by_the_hash_that_its_events_are_written_under(fact: tuple[Any, ...]) -> None:
    """Who looks for a record works it out from its names alone."""
    source, object_name, external_id, *_ = fact
    sent = arrival(source=source, object=object_name, external_id=external_id)
    _, _, written = identify("t", stem_of("t", source, object_name), sent, 0, 1, b"{}")
    assert record_hash("t", source, object_name, external_id) == written


@given(FACTS, FACTS)
def test_two_facts_have_one_content_hash_only_if_they_are_one(
    one: tuple[Any, ...], two: tuple[Any, ...]
) -> None:
    """No two lists of parts, of whichever of the cases, are framed alike."""
    assert (_identified(one)[1] == _identified(two)[1]) == (one == two)


@given(FACTS, FACTS)
def test_the_key_hangs_on_what_makes_the_fact(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    """Source and request id where there is one; else all but the actor, the time to the millisecond with a version."""

    def identity(fact: tuple[Any, ...]) -> tuple[Any, ...]:
        source, object_name, external_id, version, time_us, operation, _, request_id, canonical = fact
        if request_id:
            return (source, request_id)
        when = time_us // 1000 if version else time_us
        return (source, object_name, external_id, version, when, operation, canonical)

    assert (_identified(one)[0] == _identified(two)[0]) == (identity(one) == identity(two))


@given(st.text(st.sampled_from("abcz09_-"), min_size=1, max_size=63), TEXT)
def test_a_tenant_s_records_are_one_range(tenant_id: str, external_id: str) -> None:
    """Every record hash of a tenant lies in its range, which is a 4096th of all."""
    low, high = tenant_range(tenant_id)
    assert -(2**31) <= low <= record_hash(tenant_id, "webshop", "contact", external_id) <= high < 2**31
    assert high - low == 2**20 - 1


@pytest.mark.parametrize("spelled", ["{}", "c-{:08}", "00Q5g00000{:05X}EAA", "user{}@example.com", "uuid"])
def test_shards_are_even(spelled: str) -> None:
    """Over ids as systems make them: no shard has a tenth more or less than its part."""
    chance = random.Random(5)
    names = [
        str(uuid.UUID(int=chance.getrandbits(128), version=4))
        if spelled == "uuid"
        else spelled.format(number)
        for number in range(32_000)
    ]
    counts = Counter(shard_of(record_hash("acme", "webshop", "contact", name)) for name in names)
    assert len(counts) == SHARDS
    assert all(0.9 < count / (len(names) / SHARDS) < 1.1 for count in counts.values())
