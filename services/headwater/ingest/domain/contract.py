"""The tenant's contract at the door: accept, quarantine or refuse. Pure.

Headwater's own events (policies, merges and splits, SLA timers) are held to rules of their own, not to the contract.
"""

from __future__ import annotations

from typing import Final, cast

from headwater.ingest.domain.envelope import CLOCK_SKEW_DEFAULT_S, WellFormed
from headwater.ingest.domain.event import Arrival, JsonObject, Operation, Outcome, refused
from headwater.kernel.errors import FieldViolation
from headwater.kernel.ids import (
    ENTITY_PREFIX,
    OPERATOR_SOURCE,
    ROUTING_SOURCE,
    ObjectName,
    parse_attached,
    parse_uuid,
)
from headwater.policy.document import PolicyDocument
from headwater.policy.inbound import canonicalise
from headwater.policy.loading import PolicyRefused, policy_digest
from headwater.policy.pointing import FETCH_KEY, is_pointer, readers_of
from headwater.policy.staging import load_staged, read_staged

_MAPPING_RULES: Final = frozenset({"known_source", "mapped_object"})
"""Rules that hold for deletes too, which have no fields to check."""

UNREADABLE_KEY: Final = "headwater_unreadable"
"""Key of a payload that is no record but a row that its importer could not read: row, reason, detail, raw."""

Violations = tuple[FieldViolation, ...]


def skew_of(policy: PolicyDocument | None, source: str) -> float:
    """Return how many seconds ahead of our clock the event times of *source* may be."""
    system = policy.systems.get(source) if policy else None
    return system.clock_skew_s if system else CLOCK_SKEW_DEFAULT_S


def dedup_window_of(policy: PolicyDocument | None, source: str) -> float | None:
    """Return how long the keys of *source* block a re-send; None: for ever."""
    system = policy.systems.get(source) if policy else None
    return system.dedup_window_s if system else None


def judge(policy: PolicyDocument | None, tenant_id: str, event: WellFormed) -> Violations | Outcome:
    """Return the rules of the contract that the event breaks (it goes to quarantine), or its refusal."""
    if policy is None:
        description = f"tenant {tenant_id!r} has no policy: apply one with `headwater policy apply`"
        return refused("NO_POLICY", (FieldViolation("tenant_id", tenant_id, "policy", description),))
    arrival = event.arrival
    name = cast("ObjectName", arrival.object)
    if UNREADABLE_KEY in event.payload:
        return _unreadable(policy, name, event.payload[UNREADABLE_KEY])
    if is_pointer(event.payload):
        return _pointer_violations(policy, arrival.source, name)
    violations = canonicalise(policy, arrival.source, name, event.payload, arrival.actor.actor_id).violations
    if arrival.operation == Operation.DELETE:
        violations = tuple(item for item in violations if item.rule in _MAPPING_RULES)
    known = policy.objects.get(name)
    if arrival.source == OPERATOR_SOURCE:
        violations = (*violations, *_correction_violations(arrival))
        return refused("CONTRACT_BROKEN", violations) if violations else ()
    if broken := _attachment_violations(policy, arrival):
        return refused("CONTRACT_BROKEN", broken)
    if arrival.source == ROUTING_SOURCE:
        violations = (*violations, *_entity_violations(arrival))
        return refused("CONTRACT_BROKEN", violations) if violations else ()
    if violations and known is not None and known.on_violation == "refuse":
        return refused("CONTRACT_BROKEN", violations)
    return violations


def _unreadable(policy: PolicyDocument, name: ObjectName, told: object) -> Violations | Outcome:
    """Return the one violation of a row that its importer could not read: it says row and reason itself."""
    facts = told if isinstance(told, dict) else {}
    broken = FieldViolation(
        "event.payload",
        str(facts.get("raw", ""))[:128],
        f"import.{str(facts.get('reason', 'unreadable'))[:64]}",
        str(facts.get("detail", "the importer could not read this row"))[:512],
    )
    known = policy.objects.get(name)
    if known is not None and known.on_violation == "refuse":
        return refused("CONTRACT_BROKEN", (broken,))
    return (broken,)


def _pointer_violations(policy: PolicyDocument, source: str, name: ObjectName) -> Violations | Outcome:
    """Refuse a pointer to a record that no account can fetch: nobody would ever follow it."""
    if readers_of(policy, source, name):
        return ()
    described = f"no enabled connector account of {source} reads {name}: give it direction two_way or in, or name it in poll.objects"
    return refused("CONTRACT_BROKEN", (FieldViolation("event.payload", FETCH_KEY, "pointer", described),))


def _attachment_violations(policy: PolicyDocument, arrival: Arrival) -> Violations:
    """Return what is wrong with the external id: only providers of enrichment name entities, and nothing else."""
    external_id = arrival.external_id
    if arrival.source in policy.enrichers:
        if parse_attached(external_id) is not None:
            return ()
        described = f"must be {ENTITY_PREFIX} and the entity that is enriched"
    else:
        if not external_id.startswith(ENTITY_PREFIX):
            return ()
        described = f"may not begin with {ENTITY_PREFIX}, which names entities for providers of enrichment"
    return (FieldViolation("event.external_id", external_id[:128], "format.entity", described),)


def _correction_violations(arrival: Arrival) -> Violations:
    """Return what an operator's correction lacks: a person waits for the answer, so none is quarantined."""
    broken: list[FieldViolation] = []
    if not arrival.actor.actor_id:
        broken.append(FieldViolation("event.actor.id", "", "required", "must say who corrects"))
    return (*broken, *_entity_violations(arrival))


def _entity_violations(arrival: Arrival) -> Violations:
    """Return what is wrong with the name of an entity that an own event is about."""
    if parse_uuid(arrival.external_id) is not None:
        return ()
    return (
        FieldViolation("event.external_id", arrival.external_id[:128], "format.uuid", "must be the entity"),
    )


def judge_policy(payload: JsonObject, *, retention_days: int = 0) -> PolicyDocument | Outcome:
    """Return the policy that a policy event carries, or the refusal that says all that is wrong with it.

    Slow (tens of milliseconds): run it off the event loop.

    Args:
        retention_days: after which days are dropped for everybody; 0: never.
    """
    text, digest = payload.get("document"), payload.get("digest")
    if not isinstance(text, str):
        description = "must be the policy's YAML text"
        return refused("POLICY_REFUSED", (FieldViolation("event.payload.document", "", "text", description),))
    if digest is not None and digest != policy_digest(text):
        description = f"does not fit the document, whose digest is {policy_digest(text)}"
        broken = FieldViolation("event.payload.digest", str(digest)[:128], "digest", description)
        return refused("POLICY_REFUSED", (broken,))
    try:
        document = load_staged(text, read_staged(payload.get("staged")))
    except PolicyRefused as error:
        located = tuple(
            FieldViolation(
                f"policy.{item.path}" if item.path else "policy",
                "",
                item.rule,
                f"line {item.line}: {item.message}" if item.line else item.message,
            )
            for item in error.faults
        )
        return refused(error.reason, located)
    kept = document.retention
    if kept is not None and 0 < retention_days < kept.days:
        description = (
            f"days are dropped after {retention_days} days (HEADWATER_INGEST_RETENTION_DAYS): keep no longer"
        )
        broken = FieldViolation("policy.retention.days", str(kept.days), "retention_longer", description)
        return refused("POLICY_REFUSED", (broken,))
    return document
