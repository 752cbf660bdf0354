"""The policies of simulated tenants, and what their events say."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from tests.simulation.chance import mixed, named_uuid
from tests.simulation.crm import CrmRecord
from tests.simulation.plan import Plan, PlannedAccount, PlannedEvent
from tests.simulation.vendor import VENDOR

from headwater.kernel.ids import IDENTITY_OBJECT, OWN_SOURCE
from headwater.kernel.telemetry import TraceContext
from headwater.kernel.telemetry.old_news import BACKFILL_STATE
from headwater.sync.domain.log import OPERATION_DELETE, LogEvent, Position

BEGIN: Final = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
"""True time at virtual second 0."""
TIMEOUT_S: Final = 4.0
"""Bound of one simulated call."""
LOST_CALL_S: Final = 0.5
"""How long after it was given up a simulated call may still arrive; `crm.WAY_S` is shorter."""
SHARDS: Final = 3
RETRY: Final[dict[str, Any]] = {
    "fast_s": [1.0, 2.0, 4.0],
    "slow_s": [5.0, 10.0, 15.0, 20.0, 20.0, 20.0, 20.0],
    "reference_wait_s": 10.0,
    "in_doubt_s": 1.0,
}
"""Tiers short enough that what is retried settles within the time of I9."""
ROLLOUT: Final[dict[str, Any]] = {"records": 4, "ramp": [10], "soak_s": 3.0, "rate_per_s": 4.0}
BREAKER: Final = {"failures": 5, "hold_s": 10.0, "hold_s_max": 30.0}

_OWNED: Final = {"owner": "ops", "backup": "platform", "runbook": "https://runbooks/x"}
_CONTACT: Final = {
    "Title": {"field": "title"},
    "Email": {"field": "email"},
    "Note": {"field": "note"},
}


def policy_of(plan: Plan, tenant: str, version: int) -> dict[str, Any]:
    """Return the policy of *tenant* in *version*, as JSON; versions differ in their name alone."""
    inbound = {
        "contact": {"fields": {"title": "title", "email": "email", "note": "note", "company": "account"}},
        "account": {"fields": {"title": "title"}},
    }
    accounts = [item for item in plan.accounts if item.tenant == tenant]
    telling = [item.system for item in accounts if item.two_way]
    text = {"type": "text", "owners": ["site", "bulk", *telling], "rule": "most_recent"}
    return {
        "format": "headwater/v1",
        "version": str(version),
        "systems": {
            **{item.system: _system(item) for item in accounts},
            "site": {"layer": "record", "inbound": inbound, "echo_skew_s": 0, **_OWNED},
            "bulk": {"layer": "record", "inbound": inbound, "lane": "backfill", "echo_skew_s": 0, **_OWNED},
        },
        "objects": {
            "contact": {
                "fields": {
                    "title": text,
                    "email": text,
                    "note": text,
                    "account": {**text, "type": "reference", "reference": "account"},
                }
            },
            "account": {"fields": {"title": text}},
        },
        "connectors": {item.name: _connector(item) for item in accounts},
        "retry": RETRY,
        "rollout": ROLLOUT,
        "breaker": BREAKER,
    }


def _system(item: PlannedAccount) -> dict[str, Any]:
    inbound = {
        "contact": {"fields": {"Title": "title", "Email": "email", "Note": "note"}},
        "account": {"fields": {"Title": "title"}},
    }
    return {"layer": "record", "echo_skew_s": 0, **_OWNED, **({"inbound": inbound} if item.two_way else {})}


def _connector(item: PlannedAccount) -> dict[str, Any]:
    direction = {"direction": "two_way", "conflict": "policy"} if item.two_way else {}
    return {
        "vendor": VENDOR,
        "system": item.system,
        "base_url": f"http://{item.crm}",
        "credentials": "env:SIMULATED",
        **_OWNED,
        "timeout_s": TIMEOUT_S,
        "limits": {
            "window": {"calls": item.calls, "window_s": item.window_s},
            "daily_calls": item.daily_calls,
            "concurrency": item.concurrency,
            "batch_records": item.batch_records,
            "lost_call_s": LOST_CALL_S,
        },
        "objects": {
            "contact": [
                {
                    "target": "Contact",
                    **direction,
                    "external_id": "Headwater",
                    "fields": _CONTACT,
                    "references": {"Account": "account"},
                    "end_marks": {"State": "state", "Winner": "winner_entity_id"},
                }
            ],
            "account": [
                {
                    "target": "Account",
                    **direction,
                    "external_id": "Headwater",
                    "fields": {"Title": {"field": "title"}},
                }
            ],
        },
    }


def title_of(number: int) -> str:
    """Return the title that event *number* gives: later events have the greater one."""
    return f"{number:06d}"


BULK_SEED: Final = 100
"""From this seed on; those before it are the ablations', each of which has its own."""
BULK_EVERY: Final = 3
"""Of the sources' events every so manieth is told in bulk: what is live overtakes it."""
_OLD_NEWS: Final = TraceContext(f"00-{1:032x}-{1:016x}-00", BACKFILL_STATE)


def _is_bulk(plan: Plan, planned: PlannedEvent) -> bool:
    return plan.seed >= BULK_SEED and planned.kind != "merge" and planned.number % BULK_EVERY == 0


def event_of(plan: Plan, planned: PlannedEvent, position: int, identity: dict[str, Any] | None) -> LogEvent:
    """Return *planned* as the log holds it.

    Args:
        identity: of a merge, what identity says about it.
    """
    own = planned.kind == "merge"
    object_name = IDENTITY_OBJECT if own else "account" if planned.kind == "account" else "contact"
    source = OWN_SOURCE if own else planned.source
    happened = BEGIN + dt.timedelta(seconds=planned.time_s)
    return LogEvent(
        tenant_id=planned.tenant,
        event_key=named_uuid(plan.seed, "event", planned.number),
        source=source,
        object=object_name,
        external_id=planned.subject,
        event_time=happened,
        record_time=happened,
        operation=OPERATION_DELETE if planned.kind == "delete" else 1,
        actor_id="",
        payload=b"{" if planned.kind == "unreadable" else msgspec.json.encode(identity or _payload(planned)),
        trace=_OLD_NEWS if _is_bulk(plan, planned) else None,
        shard=shard_of(planned),
        position=Position(position, position),
    )


def told_event(
    account: PlannedAccount,
    record: CrmRecord,
    shown: Mapping[str, Any],
    moment: tuple[float, float],
    position: int,
    key: uuid.UUID,
) -> LogEvent:
    """Return what a CRM tells of one of its records, as the log holds it.

    Args:
        moment: when the record was changed last, and when it was told.
    """
    changed, told = (BEGIN + dt.timedelta(seconds=time_s) for time_s in moment)
    return LogEvent(
        tenant_id=account.tenant,
        event_key=key,
        source=account.system,
        object=record.crm_object.lower(),
        external_id=record.crm_id,
        event_time=changed,
        record_time=told,
        operation=1,
        actor_id="",
        payload=msgspec.json.encode({**shown, "Headwater": record.external_id}),
        trace=None,
        shard=mixed(0, *f"{account.crm}/{record.crm_id}".encode()) % SHARDS,
        position=Position(position, position),
    )  # fmt: skip


def _payload(planned: PlannedEvent) -> dict[str, Any]:
    said: dict[str, Any] = {"title": title_of(planned.number)}
    if planned.kind == "contact":
        said["email"] = planned.email
    if planned.other:
        said["company"] = planned.other
    if planned.kind == "unstorable":
        said["note"] = "a\0b"
    if planned.kind in {"mangled", "rejected"}:
        said["note"] = planned.kind
    return said


def shard_of(planned: PlannedEvent) -> int:
    """Return the shard of the log that holds *planned*."""
    return mixed(0, *f"{planned.tenant}/{planned.subject}".encode()) % SHARDS
