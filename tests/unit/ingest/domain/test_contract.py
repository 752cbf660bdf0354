"""The tenant's contract at the door."""

from __future__ import annotations

from typing import Any

from tests.integration.ingest.world import POLICY
from tests.unit.ingest.arrivals import TENANT, well_formed
from tests.unit.sync.enriched import POLICY as ENRICHED

from headwater.ingest.domain.contract import UNREADABLE_KEY, judge, judge_policy, skew_of
from headwater.ingest.domain.event import Outcome
from headwater.ingest.domain.passage import Door
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest

DOCUMENT = load_policy(POLICY)


def test_what_fits_the_contract_passes() -> None:
    """No violations, no outcome yet."""
    assert judge(DOCUMENT, TENANT, well_formed()) == ()


def test_violations_are_listed_for_quarantine() -> None:
    """All of them."""
    judged = judge(DOCUMENT, TENANT, well_formed({"email": "no", "age": "old"}))
    assert isinstance(judged, tuple)
    assert {item.field for item in judged} == {"event.payload.email", "event.payload.age", "event.payload"}


def test_an_object_that_refuses_refuses() -> None:
    """on_violation decides."""
    judged = judge(DOCUMENT, TENANT, well_formed({"email": "no"}, object="lead"))
    assert isinstance(judged, Outcome)
    assert judged.reason == "CONTRACT_BROKEN"


UNREADABLE = {
    UNREADABLE_KEY: {"row": 7, "reason": "too_few_cells", "detail": "row 7 has 2 cells", "raw": "a,b"}
}


def test_a_row_that_its_importer_could_not_read_is_put_aside_with_row_and_reason() -> None:
    """One violation that says what the importer says; the record's own rules are no matter then."""
    judged = judge(DOCUMENT, TENANT, well_formed(UNREADABLE))
    assert isinstance(judged, tuple)
    [broken] = judged
    assert (broken.rule, broken.value, broken.description) == (
        "import.too_few_cells",
        "a,b",
        "row 7 has 2 cells",
    )
    refused = judge(DOCUMENT, TENANT, well_formed(UNREADABLE, object="lead"))
    assert isinstance(refused, Outcome)


def test_what_an_importer_says_need_not_be_what_it_should() -> None:
    """Any value of that key is a bad row: never a record."""
    kinds: tuple[Any, ...] = (None, [], "x", {"detail": 5})
    for told in kinds:
        judged = judge(DOCUMENT, TENANT, well_formed({UNREADABLE_KEY: told}))
        assert isinstance(judged, tuple)
        assert len(judged) == 1


def test_an_unknown_source_waits_for_a_person() -> None:
    """The policy may name it tomorrow."""
    judged = judge(DOCUMENT, TENANT, well_formed(source="newsletter"))
    assert isinstance(judged, tuple)
    assert [item.rule for item in judged] == ["known_source"]


def test_a_delete_needs_a_mapped_record_only() -> None:
    """Required fields are no matter of a delete; an unknown source is."""
    delete = {"operation": 2, "payload": b""}
    assert judge(DOCUMENT, TENANT, well_formed(**delete)) == ()
    judged = judge(DOCUMENT, TENANT, well_formed(**delete, source="newsletter"))
    assert isinstance(judged, tuple)
    assert [item.rule for item in judged] == ["known_source"]


def test_only_providers_of_enrichment_name_entities() -> None:
    """They name nothing else, state what they like, and nobody else may attach a record to an entity."""
    enriched, entity = load_policy(ENRICHED), "entity:00000000-0000-0000-0000-000000000001"
    by_people = {"payload": {"title": "CTO"}, "source": "people"}
    assert judge(enriched, TENANT, well_formed(**by_people, external_id=entity)) == ()
    refusals = [
        judge(enriched, TENANT, well_formed(**by_people, external_id="42")),
        judge(enriched, TENANT, well_formed({"email": "a@example.com"}, source="crm", external_id=entity)),
        judge(DOCUMENT, TENANT, well_formed(external_id="entity:7")),
    ]
    for judged in refusals:
        assert isinstance(judged, Outcome)
        assert [item.rule for item in judged.violations] == ["format.entity"]
    arrival = well_formed(external_id=entity).arrival
    assert Door(TENANT, DOCUMENT).admit(arrival, arrival.event_time_us or 0, None) is None


def test_a_tenant_without_a_policy_is_refused() -> None:
    """And told the command."""
    judged = judge(None, TENANT, well_formed())
    assert isinstance(judged, Outcome)
    assert judged.reason == "NO_POLICY"
    assert "headwater policy apply" in judged.violations[0].description


def test_clock_skew_is_the_systems_own() -> None:
    """300 s where the policy names no such system."""
    assert (skew_of(DOCUMENT, "webshop"), skew_of(DOCUMENT, "x"), skew_of(None, "webshop")) == (60, 300, 300)


def test_a_policy_that_keeps_longer_than_days_are_kept_is_refused() -> None:
    """With field, value and rule; where days are kept for ever, or as long, it is taken."""
    payload = {"document": POLICY + "\nretention: {days: 90}\n"}
    for days in (0, 90, 400):
        assert isinstance(judge_policy(payload, retention_days=days), PolicyDocument)
    judged = judge_policy(payload, retention_days=30)
    assert isinstance(judged, Outcome)
    (said,) = judged.violations
    assert (judged.reason, said.field, said.value, said.rule) == (
        "POLICY_REFUSED",
        "policy.retention.days",
        "90",
        "retention_longer",
    )


def test_a_policy_event_is_read_or_refused() -> None:
    """Its document is checked, and its digest where there is one."""
    good = {"document": POLICY, "digest": policy_digest(POLICY)}
    assert isinstance(judge_policy(good), PolicyDocument)
    for bad in ({}, {"document": 3}, {"document": POLICY, "digest": "0"}, {"document": "a: ["}):
        judged = judge_policy(bad)
        assert isinstance(judged, Outcome)
        assert judged.reason == "POLICY_REFUSED"
