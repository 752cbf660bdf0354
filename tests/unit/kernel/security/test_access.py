"""Who may: scopes, tenants, sources."""

from __future__ import annotations

import pytest

from headwater.kernel.errors import InvalidInput, PermissionDenied, Unauthenticated
from headwater.kernel.security.access import check_scope, check_source, scope_of_source, tenant_for
from headwater.kernel.security.principal import EVERY_TENANT, Principal
from headwater.kernel.security.scopes import ROLES, breadth, known_scopes, scopes_of
from headwater.kernel.security.table import NOBODY, Rule

EVERYTHING = frozenset().union(*ROLES.values())

ENTITY = "0198c0de-0000-7000-8000-000000000000"


def _principal(*tenants: str, scopes: frozenset[str] = EVERYTHING, expires_s: float = 100.0) -> Principal:
    return Principal("somebody", "token", frozenset(tenants), scopes, expires_s)


def test_one_of_a_rules_scopes_is_enough() -> None:
    """Rules name alternatives."""
    check_scope(Rule(frozenset({"a", "b"})), _principal("acme", scopes=frozenset({"b"})), now_s=0)


@pytest.mark.parametrize(
    ("rule", "reason"), [(Rule(frozenset({"audit:read"})), "SCOPE_MISSING"), (NOBODY, "NO_RULE")]
)
def test_no_scope_is_told_from_no_rule(rule: Rule, reason: str) -> None:
    """An operator reads from the reason whose fault it is."""
    principal = _principal("acme", scopes=EVERYTHING - {"audit:read"})
    with pytest.raises(PermissionDenied) as refused:
        check_scope(rule, principal, now_s=0)
    assert refused.value.reason == reason


def test_a_credential_that_ended_is_no_credential() -> None:
    """At its very last second already."""
    with pytest.raises(Unauthenticated):
        check_scope(Rule(frozenset({"audit:read"})), _principal("acme"), now_s=100.0)


def test_a_tenant_must_be_the_credentials() -> None:
    """Another one is denied, whatever the scopes."""
    assert tenant_for(_principal("acme", "globex"), "globex") == "globex"
    assert tenant_for(_principal(EVERY_TENANT), "globex") == "globex"
    with pytest.raises(PermissionDenied):
        tenant_for(_principal("acme"), "globex")


def test_an_absent_tenant_is_filled_in_only_where_there_is_one() -> None:
    """With several, or with all, the request has to say which."""
    assert tenant_for(_principal("acme"), "") == "acme"
    for tenants in (("acme", "globex"), (EVERY_TENANT,), ()):
        with pytest.raises(InvalidInput):
            tenant_for(_principal(*tenants), "")


@pytest.mark.parametrize(
    ("source", "object_name", "external_id", "scope"),
    [
        ("shop", "contact", "42", "events:write"),
        ("shop", "policy", "42", "events:write"),
        ("shop", "contact", f"entity:{ENTITY}", "log:own"),
        ("headwater", "policy", "acme", "policy:write"),
        ("headwater", "identity", "42", "log:own"),
        ("routing", "lead", ENTITY, "log:own"),
        ("operator", "contact", ENTITY, "entities:correct"),
    ],
)
def test_a_source_takes_its_scope(source: str, object_name: str, external_id: str, scope: str) -> None:
    """What Headwater, its providers and its operators write is not for producers."""
    said = (source, object_name, external_id)
    assert scope_of_source(*said) == scope
    check_source(_principal("acme", scopes=frozenset({scope})), *said)
    with pytest.raises(PermissionDenied):
        check_source(_principal("acme", scopes=EVERYTHING - {scope}), *said)


def test_no_role_of_people_or_producers_may_speak_for_headwater() -> None:
    """Merges and splits are recorded by the services themselves."""
    assert {role for role, scopes in ROLES.items() if "log:own" in scopes} == {"service"}
    assert {role for role, scopes in ROLES.items() if "actors:name" in scopes} == {"service"}
    assert "policy:write" not in ROLES["producer"] | ROLES["reader"] | ROLES["operator"] | ROLES["steward"]


def test_our_own_names_are_checked_and_others_ignored() -> None:
    """A typing mistake of ours is told; a provider's tokens hold words of other houses."""
    with pytest.raises(InvalidInput):
        scopes_of(("operater",))
    assert known_scopes(("operater", "auditor"), ("openid", "events:write")) == ROLES["auditor"] | {
        "events:write"
    }


def test_a_broad_grant_is_said_in_words() -> None:
    """A producer of one tenant is none; an everlasting administrator of all tenants is three."""
    assert breadth(ROLES["producer"], ("acme",), ends=True) == ()
    told = breadth(ROLES["admin"], (EVERY_TENANT,), ends=False)
    assert told == ("may do everything", "for every tenant", "never ends")
