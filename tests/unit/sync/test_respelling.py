"""What a source said is kept beside the spelling that the policy wants, and is spelt anew when the policy changes."""

from __future__ import annotations

from typing import Any, Final

from tests.unit.policy.test_normalising import POLICY
from tests.unit.sync.tenant import TENANT, event, key

from headwater.policy.explaining import explain
from headwater.policy.loading import load_policy
from headwater.sync.domain.projecting import Workspace
from headwater.sync.domain.reading import RecordReading, read_event
from headwater.sync.domain.respelling import respell
from headwater.sync.domain.rows import pack_facts, unpack_facts

ADA: Final = key(1)
SAID: Final[dict[str, Any]] = {
    "email": "ada+crm@acme.example.com",
    "company": "Acme GmbH",
    "phone": "030 901820",
}
CONTACT: Final = event(1, "crm", **SAID, country="Germany")
DOCUMENT: Final = load_policy(POLICY)


def projected() -> Workspace:
    """Return a workspace with ADA as crm words her."""
    reading = read_event(DOCUMENT, CONTACT)
    assert isinstance(reading, RecordReading)
    workspace = Workspace({TENANT: DOCUMENT})
    workspace.apply_record(reading, {reading.subject.key: ADA})
    return workspace


def values(workspace: Workspace) -> dict[str, Any]:
    """Return the values that ADA shows."""
    return {name: item.value for name, item in workspace.entities[(TENANT, ADA)].fields.items()}


def test_identity_is_told_what_was_said() -> None:
    """It has rules of its own, and keeps the raw values for when those change."""
    reading = read_event(DOCUMENT, CONTACT)
    assert isinstance(reading, RecordReading)
    assert {name: reading.subject.attributes[name] for name in SAID} == SAID


def test_the_raw_value_stands_beside_the_one_shown() -> None:
    """In the record, through the store's form and back, and where it is asked why; unchanged values have none."""
    workspace = projected()
    (record,) = workspace.records.values()
    assert values(workspace) == {
        "email": "ada@acme.example.com", "company": "Acme", "phone": "+4930901820", "country": "DE",
    }  # fmt: skip
    assert unpack_facts(pack_facts(record.fields)) == record.fields
    decision = explain(DOCUMENT, "contact", [record.as_member()], "phone")
    assert [(item.value, item.raw) for item in decision.candidates] == [("+4930901820", "030 901820")]
    plain = {name: fact for name, fact in record.fields.items() if fact.raw is None}
    assert all(len(packed) == 3 for packed in pack_facts(plain).values())


def test_another_policy_spells_what_was_said_anew() -> None:
    """Without an event: a rule that is dropped gives the raw value back, one that is changed another spelling."""
    workspace = projected()
    text = POLICY.replace("normalise: [company]", "normalise: [company_match]").replace(
        "normalise: [email, plus_alias], ", ""
    )
    workspace.policies = {TENANT: load_policy(text)}
    workspace.renew(workspace.entities[(TENANT, ADA)], event(2, "headwater", "policy", TENANT))
    assert values(workspace) == {
        "email": "ada+crm@acme.example.com", "company": "acme", "phone": "+4930901820", "country": "DE",
    }  # fmt: skip
    (record,) = workspace.records.values()
    assert record.fields["email"].raw is None
    assert respell(load_policy(text), record.key, record.fields) == {}


def test_a_misspelt_domain_is_suggested_to_whoever_asks_why() -> None:
    """The value itself stays as it was said."""
    workspace = Workspace({TENANT: DOCUMENT})
    reading = read_event(DOCUMENT, event(1, "crm", email="ada@acme.con"))
    assert isinstance(reading, RecordReading)
    workspace.apply_record(reading, {reading.subject.key: ADA})
    (record,) = workspace.records.values()
    (told,) = explain(DOCUMENT, "contact", [record.as_member()], "email").candidates
    assert (told.value, told.suggestion) == ("ada@acme.con", "ada@acme.com")
