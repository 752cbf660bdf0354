"""Routing and SLAs as tables. Draws, decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from headwater.cli.output import table
from headwater.cli.plain import moment
from headwater.sync.v1 import routing_pb2 as pb

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600


def lead_state(value: pb.LeadState.ValueType) -> str:
    """Return `waiting`, `assigned`, and so on."""
    return pb.LeadState.Name(value).removeprefix("LEAD_STATE_").lower()


def timer_kind(value: pb.TimerKind.ValueType) -> str:
    """Return `assignment`, `first touch` or `first reply`."""
    return pb.TimerKind.Name(value).removeprefix("TIMER_KIND_").lower().replace("_", " ")


def timer_state(value: pb.TimerState.ValueType) -> str:
    """Return `open`, `met`, `breached` or `dropped`."""
    return pb.TimerState.Name(value).removeprefix("TIMER_STATE_").lower()


def span(seconds: float) -> str:
    """Return a span of time for people, as 45s, 12m or 3.5h."""
    if seconds < _MINUTE_S:
        return f"{seconds:.0f}s"
    return f"{seconds / _MINUTE_S:.0f}m" if seconds < _HOUR_S else f"{seconds / _HOUR_S:.1f}h"


def assignments_table(rows: Iterable[pb.LeadAssignment]) -> Any:
    """Return leads with their owners."""
    return table(
        ("lead", "object", "state", "person", "rule", "lane", "since", "touched", "why"),
        (
            (
                item.home_id,
                item.object,
                lead_state(item.state),
                item.person,
                item.rule,
                item.lane,
                moment(item.assign_time),
                moment(item.touch_time),
                item.reason,
            )
            for item in rows
        ),
    )


def shown_lead(found: pb.GetAssignmentResponse) -> list[Any]:
    """Return one lead as people read it."""
    item = found.assignment
    facts = [
        ("lead", item.home_id),
        ("state", lead_state(item.state)),
        ("person", f"{item.person} ({item.role})" if item.role else item.person),
        ("rule", item.rule),
        ("pool", item.pool),
        ("lane", item.lane),
        ("why", item.reason),
        ("assignment", f"number {item.number}, moved by itself {item.move_count} times"),
        ("came", f"{moment(item.lead_time)} from {item.source}"),
        ("given", moment(item.assign_time)),
        ("last touch", moment(item.touch_time)),
        ("looked at again", moment(item.check_time)),
        ("policy", item.policy_version),
        ("event", item.event_key),
    ]
    told = table(("", ""), ((name, value) for name, value in facts if value))
    return [told, timers_table(found.timers)] if found.timers else [told]


def timers_table(timers: Iterable[pb.SlaTimer], title: str = "") -> Any:
    """Return timers."""
    return table(
        ("lead", "waits for", "state", "target", "person", "began", "due", "came", "took", "escalates to"),
        (
            (
                item.entity_id,
                timer_kind(item.kind),
                timer_state(item.state),
                item.target,
                item.person,
                moment(item.start_time),
                moment(item.due_time),
                moment(item.end_time),
                span(item.elapsed_s) if item.HasField("end_time") else "",
                item.escalate_to,
            )
            for item in timers
        ),
        title=title,
    )


def shown_loads(found: pb.GetLoadsResponse) -> list[Any]:
    """Return how people and pools stand."""
    people = table(
        ("person", "role", "open", "untouched", "capacity", "can take more", "at work", "oldest"),
        (
            (
                item.person,
                item.role if item.known else "not in the policy",
                item.open_count,
                item.untouched_count,
                "no limit" if item.capacity < 0 else str(item.capacity),
                item.hindrance or ("yes" if item.known else ""),
                "yes" if item.at_work else "no",
                moment(item.oldest_time),
            )
            for item in found.people
        ),
    )
    pools = table(
        ("pool", "members", "had the last turn", "gets the next lead"),
        ((item.pool, ", ".join(item.members), item.last, item.next or "nobody") for item in found.pools),
    )
    rest = (
        f"{found.waiting_count:,} leads wait for somebody, {found.suppressed_count:,} are suppressed,"
        f" {found.done_count:,} done"
    )
    return [people, pools, rest]


def shown_preview(found: pb.RoutingPreview) -> list[Any]:
    """Return who would have got what."""
    sample = "" if found.exact else ", a sample of all"
    states = ", ".join(f"{count:,} {name}" for name, count in found.state_counts.items())
    head = f"{found.lead_count:,} leads{sample}: {states or 'none'}; {found.changed_count:,} would have another owner"
    people = table(
        ("person", "open today", "would have", "would have been given"),
        ((item.person, item.before_count, item.after_count, item.given_count) for item in found.people),
    )
    rules = table(("rule", "leads"), found.rule_counts.items())
    changes = table(
        ("lead", "came", "owner today", "would be", "why"),
        (
            (
                item.entity_id,
                moment(item.lead_time),
                item.before or "nobody",
                item.after or "nobody",
                item.reason,
            )
            for item in found.changes
        ),
        title=f"the first {len(found.changes):,} changes"
        if len(found.changes) < found.changed_count
        else "changes",
    )
    return [head, people, rules, changes]


def shown_sla(found: pb.GetSlaResponse) -> list[Any]:
    """Return how soon leads are looked after."""
    sums = table(
        ("waits for", "target", "open", "met", "breached", "p50", "p90", "p95", "p99"),
        (
            (
                timer_kind(item.kind),
                item.target,
                item.open_count,
                item.met_count,
                item.breached_count,
                *(span(value) for value in (item.p50_s, item.p90_s, item.p95_s, item.p99_s)),
            )
            for item in found.summaries
        ),
    )
    return [sums, timers_table(found.open_timers, "open"), timers_table(found.breaches, "breaches")]
