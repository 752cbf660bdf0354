"""A tenant's policy in the log: reading the one in force, and putting another one there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from headwater.cli.services import Services
from headwater.client.outcomes import Accepted, Duplicate, Quarantined, Refused, read_outcome
from headwater.client.writing import policy_event
from headwater.event.v1 import event_pb2
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.clock import Clock
from headwater.kernel.errors import InvalidInput, NotFound
from headwater.kernel.ids import OWN_SOURCE, POLICY_OBJECT
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy, policy_digest

_PAGE_SIZE: Final = 500


@dataclass(frozen=True, slots=True)
class AppliedPolicy:
    """A policy as the log has it."""

    text: str
    digest: str
    event_key: str
    recorded: ingest_pb2.RecordedEvent
    staged_digest: str = ""
    """Of the newer policy that holds for some entities already; then *text* is the one before it."""
    stage: int = 0
    """From 1; 0 unless a change is staged."""

    def document(self) -> PolicyDocument:
        """Return the policy itself."""
        return load_policy(self.text)


async def policy_history(services: Services, tenant_id: str) -> list[AppliedPolicy]:
    """Return every policy that was ever in force, newest first."""
    record = event_pb2.RecordRef(source=OWN_SOURCE, object=POLICY_OBJECT, external_id=tenant_id)
    found: list[AppliedPolicy] = []
    token = ""
    while True:
        request = ingest_pb2.ListEventsRequest(
            tenant_id=tenant_id, record=record, page_size=_PAGE_SIZE, page_token=token
        )
        page = await services.ask(services.ingest.ListEvents, request)
        found += [_read(item) for item in page.events if item.disposition == ingest_pb2.DISPOSITION_ACCEPTED]
        token = page.next_page_token
        if not token:
            return found


async def policy_in_force(services: Services, tenant_id: str) -> AppliedPolicy:
    """Return the newest policy.

    Raises:
        NotFound: the tenant has none yet.
    """
    history = await policy_history(services, tenant_id)
    if not history:
        raise NotFound(
            f"tenant {tenant_id} has no policy yet: `headwater policy apply FILE`", reason="NO_POLICY"
        )
    return history[0]


async def apply_policy(
    services: Services, tenant_id: str, text: str, *, clock: Clock, actor: event_pb2.Actor
) -> tuple[str, bool]:
    """Put *text* in force; return its event key and whether anything changed.

    Raises:
        PolicyRefused: the text is no policy that could be applied.
    """
    load_policy(text)
    digest = policy_digest(text)
    history = await policy_history(services, tenant_id)
    if history and history[0].digest == digest and not history[0].staged_digest:
        return history[0].event_key, False
    message = policy_event(
        tenant_id,
        text,
        digest,
        event_time=clock.now(),
        request_id=request_id(digest, [item.digest for item in history]),
        actor=actor,
    )
    request = ingest_pb2.RecordEventRequest(tenant_id=tenant_id, event=message)
    method: Callable[..., Awaitable[Any]] = services.ingest.RecordEvent
    answer = await services.ask(method, request)
    match read_outcome(answer.outcome):
        case Accepted(key) | Duplicate(key):
            return key, True
        case Quarantined(key, violations) | Refused(key, _, violations):
            raise InvalidInput(f"ingest did not take the policy (event {key})", violations=violations)


def request_id(digest: str, earlier: list[str]) -> str:
    """Return the idempotency key of applying *digest*: numbered when it was in force before and is put back."""
    times = earlier.count(digest)
    return f"policy:{digest}" if not times else f"policy:{digest}:{times + 1}"


def _read(item: ingest_pb2.RecordedEvent) -> AppliedPolicy:
    payload = msgspec.json.decode(item.event.payload)
    text, digest, staged = str(payload["document"]), str(payload["digest"]), payload.get("staged")
    if staged is None:
        return AppliedPolicy(text, digest, item.event_key, item)
    return AppliedPolicy(text, digest, item.event_key, item, str(staged["digest"]), staged["stage"] + 1)
