"""Planning a batch: who joins whom, who is only suggested, and how good that is on the synthetic CRM set."""

from __future__ import annotations

import csv
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.domain.keys import derive
from headwater.identity.domain.matching import choose, conflict
from headwater.identity.domain.records import (
    Age,
    Evidence,
    Holder,
    Key,
    RecordRef,
    entity_id_of,
    record_id_of,
)
from headwater.identity.domain.resolving import Incoming, Plan, keys_to_look_up, plan_batch
from headwater.kernel.ids import EntityId, EventKey, TenantId

TENANT = TenantId("acme")
ENTITIES_MAX = 5


def incoming(
    external_id: str, source: str = "crm", object_name: str = "contact", **attributes: str
) -> Incoming:
    """Describe a record."""
    ref = RecordRef(source, object_name, external_id)
    return Incoming(
        record_id_of(TENANT, ref), ref, EventKey(uuid.UUID(int=1)), derive(object_name, attributes)
    )


def plan(*records: Incoming) -> Plan:
    """Plan a first batch."""
    return plan_batch(records, {}, {}, ENTITIES_MAX)


def entities(found: Plan) -> list[EntityId | None]:
    """Return the entity of each record."""
    return [one.entity_id for one in found.resolutions]


def test_the_strongest_rule_wins_and_the_other_entity_is_suggested() -> None:
    """One record ties two entities: LinkedIn decides, the mailbox's entity becomes a candidate."""
    found = plan(
        incoming("1", email="ann@firm.io"),
        incoming("2", linkedin_url="linkedin.com/in/annlee"),
        incoming("3", email="ann@firm.io", linkedin_url="linkedin.com/in/annlee"),
    )
    first, second, third = entities(found)
    assert third == second
    assert found.resolutions[2].rule == "contact.linkedin"
    (candidate,) = found.candidates.values()
    assert (candidate.entity_id, candidate.other_entity_id, candidate.rule) == (
        second,
        first,
        "contact.email",
    )


def test_the_oldest_entity_wins_a_tie() -> None:
    """Holders in any order: the entity that was founded first is chosen."""
    ref = RecordRef("crm", "contact", "x")
    key = Key("contact", "email", "ann@firm.io")
    ids = [record_id_of(TENANT, RecordRef("crm", "contact", str(n))) for n in range(3)]
    holders = [Holder(one, ref, entity_id_of(one), Age(0, 9 - n), Evidence()) for n, one in enumerate(ids)]
    choice = choose([key], Evidence(), {key: holders}, ENTITIES_MAX)
    assert choice.winner is not None
    assert choice.winner.entity_id == entity_id_of(ids[2])
    assert [match.entity_id for match in choice.others] == [entity_id_of(ids[1]), entity_id_of(ids[0])]


def test_a_common_key_neither_joins_nor_suggests() -> None:
    """Six entities share a company's name: it says nothing of the seventh."""
    found = plan(
        *[incoming(str(n), object_name="account", name="Apex", domain=f"d{n}.com") for n in range(6)],
        incoming("x", object_name="account", name="Apex"),
    )
    assert len(set(entities(found))) == 7
    assert not any(found.resolutions[6].entity_id in pair for pair in found.candidates)


def test_accounts_of_one_name_stay_apart_when_their_domains_contradict() -> None:
    """The same name joins a record without domain, not one with another domain."""
    found = plan(
        incoming("1", object_name="account", name="Apex Ltd", domain="apex.com"),
        incoming("2", object_name="account", name="Apex GmbH", domain="apex.de"),
        incoming("3", object_name="account", name="The Apex"),
    )
    first, second, third = entities(found)
    assert first != second
    assert third == first
    assert next(iter(found.candidates.values())).blocked_by == "domain_conflict"


def test_a_household_with_one_phone_stays_apart() -> None:
    """One number and one surname, two given names: two people and a candidate."""
    found = plan(
        incoming("1", first_name="Nora", last_name="Keller", phone="+12125557812"),
        incoming("2", first_name="Paul", last_name="Keller", phone="+12125557812"),
    )
    assert len(set(entities(found))) == 2
    assert [one.blocked_by for one in found.candidates.values()] == ["name_conflict"]


def test_namesakes_whom_their_organisation_numbers_stay_apart() -> None:
    """a.lee@ and a.lee3@ of one firm are two people of one name."""
    found = plan(
        incoming("1", first_name="Ann", last_name="Lee", email="a.lee@firm.io"),
        incoming("2", first_name="Ann", last_name="Lee", email="a.lee3@firm.io"),
    )
    assert len(set(entities(found))) == 2
    assert [one.blocked_by for one in found.candidates.values()] == ["mailbox_conflict"]


def test_father_and_son_stay_apart() -> None:
    """Jr. and Sr. tell generations apart whatever else they share."""
    found = plan(
        incoming("1", first_name="Ann", last_name="Lee Sr.", email="lee@gmx.de"),
        incoming("2", first_name="Ann", last_name="Lee Jr.", email="lee@gmx.de"),
    )
    assert len(set(entities(found))) == 2


def test_contacts_and_leads_never_meet() -> None:
    """Keys belong to one object."""
    found = plan(incoming("1", email="ann@firm.io"), incoming("2", object_name="lead", email="ann@firm.io"))
    assert len(set(entities(found))) == 2


def test_a_record_that_comes_twice_in_a_batch_learns() -> None:
    """Its second coming adds keys, changes no entity, and writes one member with all it says."""
    found = plan(
        incoming("1"),
        incoming("1", email="ann@firm.io", last_name="Lee"),
        incoming("2", email="ann@firm.io"),
    )
    assert len(set(entities(found))) == 1
    assert [one.kind for one in found.resolutions] == ["created", "known", "matched"]
    assert len(found.members) == 2
    assert found.members[incoming("1").record_id].evidence.name.family == "lee"
    assert not found.evidence


def test_only_keys_that_may_join_are_looked_up() -> None:
    """Blocked keys and keys the record has already cost no look-up."""
    record = incoming("1", email="info@firm.io", linkedin_url="linkedin.com/in/annlee")
    assert {key.kind for key in keys_to_look_up([record], {})} == {"linkedin"}


EVIDENCE = st.builds(
    lambda attributes: derive("contact", attributes).evidence,
    st.fixed_dictionaries(
        {},
        optional={
            "first_name": st.sampled_from(["Ann", "A", "Paul", "Bob", "Robert Jr"]),
            "last_name": st.sampled_from(["Lee", "Keller", "Lee Sr", "Lee-Keller"]),
            "email": st.sampled_from(["a.lee@firm.io", "a.lee2@firm.io", "ann@gmx.de"]),
            "linkedin_url": st.sampled_from(["linkedin.com/in/annlee", "linkedin.com/in/paul"]),
        },
    ),
)


@given(
    st.sampled_from(["linkedin", "email", "phone_surname", "name_domain", "domain", "name"]),
    EVIDENCE,
    EVIDENCE,
)
def test_a_conflict_is_one_both_ways(kind: str, ours: Evidence, theirs: Evidence) -> None:
    """Which record came first does not decide whether two are one."""
    assert conflict(kind, ours, theirs) == conflict(kind, theirs, ours)  # type: ignore[arg-type]


@given(st.permutations(range(4)))
def test_a_plain_group_is_one_entity_in_any_order(order: Sequence[int]) -> None:
    """Records that all share a mailbox and a name end in one entity, whoever comes first."""
    records = [incoming(str(n), first_name="Ann", last_name="Lee", email="ann@firm.io") for n in range(4)]
    assert len(set(entities(plan(*[records[n] for n in order])))) == 1


def _records_file() -> Path:
    named = os.environ.get("HEADWATER_SHARED")
    shared = (
        Path(named)
        if named
        else next(p / "shared" for p in Path(__file__).resolve().parents if (p / "shared").is_dir())
    )
    return shared / "data" / "er" / "crm_synth_dev" / "records.csv"


def _pairs(groups: Mapping[object, Sequence[str]]) -> set[frozenset[str]]:
    return {frozenset(pair) for members in groups.values() for pair in combinations(members, 2)}


def test_clusters_of_the_synthetic_crm_are_precise_and_small() -> None:
    """Joining on exact keys never builds a monster: precision, recall and the largest cluster are held."""
    with _records_file().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = plan(*[incoming(row["rec_id"], row["source"], **_attributes(row)) for row in rows])
    truth: dict[object, list[str]] = defaultdict(list)
    clusters: dict[object, list[str]] = defaultdict(list)
    for row, one in zip(rows, found.resolutions, strict=True):
        truth[row["cluster_id"]].append(row["rec_id"])
        clusters[one.entity_id].append(row["rec_id"])
    wanted, got = _pairs(truth), _pairs(clusters)
    assert len(wanted & got) / len(got) >= 0.99
    assert len(wanted & got) / len(wanted) >= 0.51
    assert max(Counter(one.entity_id for one in found.resolutions).values()) <= 10


def _attributes(row: Mapping[str, str]) -> dict[str, str]:
    names = ("first_name", "last_name", "email", "phone", "linkedin_url", "company", "website", "country")
    return {name: row[name] for name in names if row[name]}
