"""What a credential may allow, and the roles that bundle it. Data, and the reading of names; no I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from headwater.kernel.errors import InvalidInput

SCOPES: Final = {
    "events:write": "record events of sources",
    "events:read": "read events, their fates, the quarantine, counts",
    "quarantine:decide": "release or discard quarantined events",
    "identity:check": "ask whether a record is known before making it",
    "identity:resolve": "resolve records to entities: the projector's way",
    "identity:read": "read entities, groups, reviews, weights",
    "identity:review": "decide, undo and assign reviews",
    "identity:merge": "merge and split entities",
    "identity:tune": "learn and choose weights, go over records again",
    "records:export": "read all records of a tenant in bulk",
    "entities:read": "read entities, where values come from, counts, quality",
    "entities:correct": "set values that stand above every owner's",
    "entities:rebuild": "make an entity again from its own history",
    "quality:measure": "measure the quality of a tenant's records, and find touches that are missing",
    "deliveries:read": "read deliveries, failures, replays, bulk changes, jobs",
    "deliveries:replay": "replay and discard deliveries",
    "connectors:control": "pause, resume and break connector accounts",
    "schedules:control": "run, pause and resume periodic jobs",
    "rollouts:control": "start, approve, hold and abort bulk changes",
    "writes:approve": "approve and reject writes to a CRM that wait for a person",
    "enrichment:run": "ask providers about an entity now",
    "policy:read": "read and preview policies",
    "policy:write": "put a policy into force",
    "audit:read": "read and verify the audit",
    "audit:erase": "erase what the audit says of an entity",
    "subjects:read": "read which people were erased, and how far that is",
    "subjects:erase": "erase a person everywhere, for good, and take one in again",
    "records:erase": "erase what identity knows of records: a part of erasing a person",
    "log:own": "record Headwater's own events: merges and splits",
    "secrets:open": "open webhook secrets of the vault",
    "actors:name": "name the actor on whose behalf it calls",
}
"""Every scope, and what it allows."""

_READING: Final = (
    "events:read",
    "identity:read",
    "entities:read",
    "deliveries:read",
    "policy:read",
)
_OF_SERVICES: Final = frozenset(
    {"log:own", "actors:name", "identity:resolve", "records:erase", "secrets:open"}
)
"""What no person's credential needs."""

ROLES: Final = {
    "producer": frozenset({"events:write", "identity:check"}),
    "reader": frozenset(_READING),
    "operator": frozenset(
        {
            *_READING,
            "quarantine:decide",
            "entities:rebuild",
            "deliveries:replay",
            "connectors:control",
            "schedules:control",
            "rollouts:control",
            "enrichment:run",
            "quality:measure",
        }
    ),
    "steward": frozenset(
        {
            *_READING,
            "identity:check",
            "identity:review",
            "identity:merge",
            "identity:tune",
            "entities:correct",
            "writes:approve",
            "enrichment:run",
            "records:export",
            "quality:measure",
        }
    ),
    "auditor": frozenset({*_READING, "audit:read", "subjects:read"}),
    "admin": frozenset(SCOPES) - _OF_SERVICES,
    "service": frozenset(
        {
            *_OF_SERVICES,
            "events:write",
            "events:read",
            "identity:read",
            "identity:check",
            "deliveries:read",
            "policy:write",
        }
    ),
}
"""Every role, and its scopes; `service` is for Headwater's own processes."""


def scopes_of(roles: Iterable[str], scopes: Iterable[str] = ()) -> frozenset[str]:
    """Return the scopes that roles and further scopes come to.

    Raises:
        InvalidInput: names a role or a scope that there is not.
    """
    roles, scopes = tuple(roles), tuple(scopes)
    unknown = [name for name in roles if name not in ROLES] + [name for name in scopes if name not in SCOPES]
    if unknown:
        message = f"unknown role or scope {', '.join(unknown)}; roles are {', '.join(ROLES)}"
        raise InvalidInput(message, reason="UNKNOWN_ROLE")
    return frozenset(scopes).union(*(ROLES[role] for role in roles))


def known_scopes(roles: Iterable[str], scopes: Iterable[str] = ()) -> frozenset[str]:
    """Return the scopes that names of another house's making come to; unknown ones allow nothing."""
    found = frozenset(scope for scope in scopes if scope in SCOPES)
    return found.union(*(ROLES[role] for role in roles if role in ROLES))


def breadth(scopes: Collection[str], tenants: Collection[str], *, ends: bool) -> tuple[str, ...]:
    """Return in words what is broader about a grant than people's and programs' work mostly needs."""
    told = []
    if frozenset(scopes) >= ROLES["admin"]:
        told.append("may do everything")
    if _OF_SERVICES & frozenset(scopes):
        told.append("may speak for others")
    if len(tenants) != 1 or not all(name.islower() for name in tenants):
        told.append("for every tenant" if "ALL" in tenants else f"for {len(tenants)} tenants")
    if not ends:
        told.append("never ends")
    return tuple(told)
