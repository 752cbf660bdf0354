"""Scopes: which line counts for a field, and that a document's mappings keep to them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.sync.tenant import POLICY, event, policy

from headwater.policy.document import PolicyDocument
from headwater.policy.loading import PolicyRefused, load_policy
from headwater.policy.parsing import parse
from headwater.policy.scopes import Scope, Scopes, Writing, scope_of
from headwater.policy.scoping import access_of
from headwater.sync.domain.polling import poll_plans
from headwater.sync.domain.reading import RecordReading, read_event

FIELDS = "scopes.objects.contact.fields.phone"
CLASS = "scopes.classes.personal"
OWN_CLASS = "scopes.objects.contact.classes.personal"
ACCESS = "scopes.objects.contact.access"


@pytest.mark.parametrize(
    ("declared", "field_class", "expected"),
    [
        ({}, "personal", Scope()),
        ({}, "secret", Scope(writing=Writing.NEVER)),
        ({"classes": {"personal": "read"}}, "internal", Scope()),
        ({"classes": {"personal": "read"}}, "personal", Scope(writing=Writing.NEVER, write_line=CLASS)),
        ({"classes": {"personal": "write"}}, "personal", Scope(reads=False, read_line=CLASS)),
        (
            {"classes": {"personal": "never"}},
            "personal",
            Scope(reads=False, writing=Writing.NEVER, read_line=CLASS, write_line=CLASS),
        ),
        # a field's own line beats its class's, also where that is narrower
        (
            {
                "classes": {"personal": "never"},
                "objects": {"contact": {"fields": {"phone": ["read", "write"]}}},
            },
            "personal",
            Scope(),
        ),
        (
            {"objects": {"contact": {"fields": {"phone": ["read", "write_if_empty"]}}}},
            "personal",
            Scope(writing=Writing.IF_EMPTY, write_line=FIELDS),
        ),
        # between lines of the same weight the narrower wins, whichever it is
        (
            {
                "classes": {"personal": ["read", "write"]},
                "objects": {"contact": {"classes": {"personal": "read"}}},
            },
            "personal",
            Scope(writing=Writing.NEVER, write_line=OWN_CLASS),
        ),
        (
            {
                "classes": {"personal": "read"},
                "objects": {"contact": {"classes": {"personal": ["read", "write"]}}},
            },
            "personal",
            Scope(writing=Writing.NEVER, write_line=CLASS),
        ),
        (
            {
                "classes": {"personal": ["read", "write_if_empty"]},
                "objects": {"contact": {"access": "write"}},
            },
            "personal",
            Scope(reads=False, writing=Writing.IF_EMPTY, read_line=ACCESS, write_line=CLASS),
        ),
        # a secret is written only where its field or its class is named
        (
            {"objects": {"contact": {"access": ["read", "write"]}}},
            "secret",
            Scope(writing=Writing.NEVER),
        ),
        ({"classes": {"secret": ["read", "write"]}}, "secret", Scope()),
        ({"objects": {"contact": {"fields": {"phone": "write"}}}}, "secret", Scope(reads=False, read_line=FIELDS)),
    ],
)  # fmt: skip
def test_the_line_that_counts(declared: dict[str, Any], field_class: Any, expected: Scope) -> None:
    """A field's own line alone; else class and object together, the narrower; else what is mapped, secrets apart."""
    assert scope_of(Scopes.model_validate(declared), "contact", "phone", field_class) == expected


def test_a_scope_of_another_object_says_nothing() -> None:
    """Lines are by object."""
    scopes = Scopes.model_validate({"objects": {"lead": {"access": "never", "fields": {"phone": "never"}}}})
    assert scope_of(scopes, "contact", "phone", "personal") == Scope()


@pytest.mark.parametrize("line", [[], ["never", "read"], ["write", "write_if_empty"], "reed", ["read"] * 3])
def test_a_line_that_contradicts_itself_is_refused(line: Any) -> None:
    """`never` stands alone, and there is one way of writing."""
    with pytest.raises(ValueError, match=r"never|exclude|Input|at least|at most"):
        Scopes.model_validate({"classes": {"personal": line}})


def test_a_policy_without_scopes_is_left_as_it_is() -> None:
    """Present policies mean what they meant."""
    document = policy()
    assert document.declared is document
    assert document.left_out == ()


def test_a_secret_is_mapped_and_not_written_until_a_scope_names_it() -> None:
    """It is no fault, and it is told; naming it writes it."""
    secret = POLICY.replace("rule: longest}", "rule: longest, class: secret}")
    document = load_policy(secret)
    assert "Title" not in document.connectors["salesforce"].objects["contact"][0].fields
    assert "Title" in document.declared.connectors["salesforce"].objects["contact"][0].fields
    (left,) = document.left_out
    assert (left.way, left.connector, left.field, left.crm_field) == ("write", "salesforce", "title", "Title")
    assert left.why == "scope: never written: class secret, and no scope names it"
    named = secret.replace(
        "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n",
        "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n"
        "    scopes: {classes: {secret: [read, write]}}\n",
    )
    assert "Title" in load_policy(named).connectors["salesforce"].objects["contact"][0].fields


def barred(line: str) -> PolicyDocument:
    """Return a policy whose crm is a CRM, with *line* as the scopes of its account; contradictions are let pass."""
    tree = parse(POLICY)
    tree["systems"]["crm"]["layer"] = "record"
    tree["objects"]["contact"]["granted"].remove("crm")
    tree["connectors"]["crm"] = {
        **tree["connectors"]["old"], "system": "crm", "enabled": True, "scopes": parse(line),
        "objects": {"contact": [{"target": "contacts", "external_id": "k", "direction": "in", "fields": {}}]},
    }  # fmt: skip
    return PolicyDocument.model_validate(tree)


def test_what_may_not_be_read_is_not_asked_for_and_not_stored() -> None:
    """A poll asks for the fields that are left; an event that brings the others all the same leaves no trace."""
    document = barred("{objects: {contact: {fields: {title: never}}}}")
    assert poll_plans(document, "crm")["contacts"].polled.fields == ("email", "first", "last")
    reading = read_event(document, event(1, "crm", email="a@x.io", title="canary-7"))
    assert isinstance(reading, RecordReading)
    assert reading.fields == {"email": "a@x.io"}
    assert "canary-7" not in repr((reading.fields, reading.raw, reading.subject))
    assert document.systems["crm"].inbound["contact"].barred == (("title", "title"),)


def test_the_narrowest_account_counts_where_a_system_has_several() -> None:
    """Events name their system, not the account."""
    document = barred("{objects: {contact: {fields: {title: never}}}}")
    tree = document.declared.model_dump(by_alias=True)
    tree["connectors"]["second"] = {**tree["connectors"]["crm"], "scopes": {}}
    assert PolicyDocument.model_validate(tree).unread_of("crm", "contact") == {"title"}


def test_addresses_of_activities_make_no_contact_of_what_may_not_be_read() -> None:
    """Names are left out by their scope; without the address nobody is meant."""
    for line, expected in (
        ("{objects: {contact: {fields: {first_name: never}}}}", [{"email": "ann@x.io", "last_name": "Lee"}]),
        ("{classes: {personal: never}}", []),
    ):
        tree = barred(line).declared.model_dump(by_alias=True)
        tree["connectors"]["crm"]["system"] = "mail"
        document = PolicyDocument.model_validate(tree)
        people = [{"address": "ann@x.io", "name": "Ann Lee"}]
        reading = read_event(document, event(1, "mail", "activity", people=people))
        assert isinstance(reading, RecordReading)
        assert [contact for _, contact in reading.participants.values()] == expected


def test_all_that_contradicts_is_told_at_once() -> None:
    """Each mapping that goes too far is a fault of its own, with the scope's line in it."""
    text = POLICY.replace(
        "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n",
        "    limits: {window: {calls: 100, window_s: 20}, daily_calls: 15000}\n"
        "    scopes: {objects: {contact: {access: read}, account: {fields: {name: never}}}}\n",
    )
    with pytest.raises(PolicyRefused) as caught:
        load_policy(text)
    found = {(item.rule, item.path.rpartition(".")[2]) for item in caught.value.faults}
    assert found == {
        ("scope_write", name) for name in ("Email", "FirstName", "LastName", "Title", "AccountId", "Name")
    }
    assert all("connectors.salesforce.scopes." in item.message for item in caught.value.faults)


def test_what_is_done_with_each_object_follows_from_mappings_and_scopes() -> None:
    """By it the OAuth scopes are derived: what is only read asks for no right to write."""
    document = barred("{}")
    assert [tuple(item) for item in access_of(document, "crm")] == [("contacts", True, False)]
    assert [tuple(item) for item in access_of(document, "salesforce")] == [
        ("Account", False, True),
        ("Contact", False, True),
    ]
    unread = barred("{objects: {contact: {access: never}}}")
    assert access_of(unread, "crm") == ()
