"""OAuth scopes: exactly those that reading and writing need, and a grant held against them."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.connectors.base.scopes import GrantFit, ObjectAccess, derived_scopes, fit_of, scopes_in
from headwater.connectors.hubspot.auth import OAUTH as HUBSPOT
from headwater.connectors.pipedrive.auth import OAUTH as PIPEDRIVE
from headwater.connectors.salesforce.auth import OAUTH as SALESFORCE


def access(name: str, how: str) -> ObjectAccess:
    """Return what is done with an object: `r`, `w` or both."""
    return ObjectAccess(name, "r" in how, "w" in how)


def test_hubspots_go_by_object_and_by_right() -> None:
    """What is only read asks for no right to write, and what is not touched for nothing."""
    found = derived_scopes(HUBSPOT, [access("contacts", "r"), access("deals", "rw")])
    assert found == (
        "oauth",
        "crm.objects.contacts.read",
        "crm.schemas.contacts.read",
        "crm.objects.deals.read",
        "crm.schemas.deals.read",
        "crm.objects.deals.write",
        "crm.schemas.deals.write",
    )
    assert derived_scopes(HUBSPOT, [access("notes", "w")]) == (
        "oauth",
        "crm.objects.contacts.read",
        "crm.objects.contacts.write",
    )
    assert "sales-email-read" in derived_scopes(HUBSPOT, [access("emails", "r")])
    assert "crm.objects.custom.write" in derived_scopes(HUBSPOT, [access("2-345", "w")])


def test_pipedrives_full_has_its_read_in_it() -> None:
    """Persons and organizations share one; making fields is the administrator's."""
    assert derived_scopes(PIPEDRIVE, [access("persons", "r"), access("organizations", "w")]) == (
        "base",
        "search:read",
        "recents:read",
        "contacts:full",
        "admin",
    )
    assert derived_scopes(PIPEDRIVE, [access("deals", "r")]) == (
        "base",
        "search:read",
        "deals:read",
        "recents:read",
    )


def test_salesforces_do_not_go_by_object() -> None:
    """Its rights are the user's, not the token's."""
    assert derived_scopes(SALESFORCE, [access("Contact", "r")]) == ("api", "refresh_token")
    assert fit_of(SALESFORCE, ("api", "refresh_token"), ("full", "refresh_token", "id")) == GrantFit(
        needless=("full",)
    )


def test_a_grant_is_narrower_wider_or_right() -> None:
    """A wide scope grants what is in it, and is told as wider."""
    needed = ("base", "contacts:read")
    assert fit_of(PIPEDRIVE, needed, needed) == GrantFit()
    assert fit_of(PIPEDRIVE, needed, ("base",)) == GrantFit(missing=("contacts:read",))
    assert fit_of(PIPEDRIVE, needed, ("base", "contacts:full")) == GrantFit(needless=("contacts:full",))
    (told,) = GrantFit(missing=("contacts:read",)).findings("pipedrive", "crm")
    assert "narrower" in told
    assert "contacts:read" in told


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"scope": "refresh_token api"}, ("refresh_token", "api")),
        ({"scope": "base,deals:full"}, ("base", "deals:full")),
        ({"scopes": ["oauth", "crm.objects.contacts.read"]}, ("oauth", "crm.objects.contacts.read")),
        ({"scope": ""}, None),
        ({}, None),
        ({"scope": 5}, None),
    ],
)
def test_answers_tell_their_scopes_in_the_vendors_own_way(body: dict[str, Any], expected: Any) -> None:
    """A text with blanks or commas, or a list; what says nothing is not taken for nothing."""
    assert scopes_in(body) == expected
