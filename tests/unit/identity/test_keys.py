"""Keys: what identifies a record, strongest first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.identity.domain.keys import STRENGTH, derive
from headwater.identity.domain.locking import STRIPES, stripe_locks, tenant_lock
from headwater.identity.domain.records import RecordRef, entity_id_of, record_id_of
from headwater.kernel.ids import TenantId

FULL = {
    "first_name": "Ann",
    "last_name": "Lee",
    "email": "ann@firm.io",
    "phone": "+12125557812",
    "mobile_phone": "+12125557813",
    "linkedin_url": "linkedin.com/in/annlee",
}
ATTRIBUTES = st.dictionaries(
    st.sampled_from([*FULL, "name", "website", "domain", "country"]), st.text(max_size=300)
)


def test_a_contact_is_identified_by_its_keys_strongest_first() -> None:
    """LinkedIn, mailbox, each phone with the surname, full name with the organisation's domain."""
    found = derive("contact", FULL)
    assert [(key.kind, key.value) for key in found.keys] == [
        ("linkedin", "in/annlee"),
        ("email", "ann@firm.io"),
        ("phone_surname", "+12125557812|lee"),
        ("phone_surname", "+12125557813|lee"),
        ("name_domain", "ann lee|firm.io"),
    ]


@pytest.mark.parametrize(
    ("missing", "gone"),
    [
        ("last_name", {"phone_surname", "name_domain"}),
        ("first_name", {"name_domain"}),
        ("email", {"email", "name_domain"}),
    ],
)
def test_a_key_needs_all_its_parts(missing: str, gone: set[str]) -> None:
    """A phone without surname, or a name without domain, identifies nobody."""
    found = derive("contact", {name: value for name, value in FULL.items() if name != missing})
    assert gone == {key.kind for key in derive("contact", FULL).keys} - {key.kind for key in found.keys}


def test_an_initial_and_free_mail_make_no_name_key() -> None:
    """`A. Lee` at gmail.com says neither who nor where."""
    found = derive("contact", {"first_name": "A.", "last_name": "Lee", "email": "alee@firm.io"})
    assert [key.kind for key in found.keys] == ["email"]
    found = derive("contact", {"first_name": "Ann", "last_name": "Lee", "email": "alee@gmail.com"})
    assert [key.kind for key in found.keys] == ["email"]


def test_a_role_address_is_a_blocked_key_that_still_tells_the_organisation() -> None:
    """info@ joins nobody; its domain counts."""
    found = derive("contact", {"first_name": "Ann", "last_name": "Lee", "email": "info@firm.io"})
    assert [(key.kind, key.blocked_by) for key in found.keys] == [
        ("email", "role_address"),
        ("name_domain", ""),
    ]


def test_an_account_is_identified_by_domain_then_name() -> None:
    """The website's registrable domain, and the name without its legal form."""
    found = derive("account", {"name": "Acme GmbH", "website": "https://www.acme.de/en"})
    assert [(key.kind, key.value) for key in found.keys] == [("domain", "acme.de"), ("name", "acme")]


@pytest.mark.parametrize("object_name", ["deal", "activity"])
def test_deals_and_activities_are_only_themselves(object_name: str) -> None:
    """Whatever they say."""
    assert derive(object_name, FULL).keys == ()


@given(st.sampled_from(sorted(STRENGTH)), ATTRIBUTES)
def test_keys_are_bounded_ordered_and_free_of_control_characters(
    object_name: str, attributes: dict[str, str]
) -> None:
    """Any text at all gives keys that Postgres stores, strongest first, the same every time."""
    found = derive(object_name, attributes)
    strengths = [STRENGTH[object_name].index(key.kind) for key in found.keys]
    assert strengths == sorted(strengths)
    assert len(set(found.keys)) == len(found.keys)
    assert all(0 < len(key.value) <= 255 and "\x00" not in key.value for key in found.keys)
    assert "\x00" not in "".join(found.evidence.name)
    assert derive(object_name, dict(reversed(attributes.items()))) == found


def test_ids_follow_from_tenant_and_record() -> None:
    """The same record of two tenants has two ids, and always the same ones."""
    ref = RecordRef("crm", "contact", "1")
    ours = record_id_of(TenantId("acme"), ref)
    assert ours == record_id_of(TenantId("acme"), ref)
    assert str(entity_id_of(ours)) == "704564a4-69a5-5a7b-9009-e67e87d534c9"
    assert ours != record_id_of(TenantId("globex"), ref)
    assert ours != record_id_of(TenantId("acme"), RecordRef("crm", "lead", "1"))


def test_locks_are_few_ascending_and_of_one_tenant() -> None:
    """Two thousand records need no more locks than there are stripes, and none is a lock of another tenant."""
    tenant = TenantId("acme")
    ids = [record_id_of(tenant, RecordRef("crm", "contact", str(n))) for n in range(2_000)]
    keys = [key for n in range(2_000) for key in derive("contact", {"email": f"p{n}@firm.io"}).keys]
    locks = stripe_locks(tenant, ids, keys)
    assert locks == sorted(set(locks))
    assert len(locks) == STRIPES
    assert all(lock < 2**63 for lock in locks)
    assert tenant_lock(tenant) not in locks
    assert not set(locks) & set(stripe_locks(TenantId("globex"), ids, keys))
