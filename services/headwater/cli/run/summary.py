"""The end of a run, told: one document for programs, a few tables for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from headwater.cli.feed.pump import Trouble
from headwater.cli.output import facts, table
from headwater.cli.run.accounting import Crm, Ledger, Unexplained
from headwater.cli.wording import delivery_state
from headwater.identity.v1 import identity_pb2
from headwater.sync.v1 import sync_pb2

TROUBLES_SHOWN: Final = 8
"""Rows told in words on the terminal; `--json` has more, `headwater quarantine list` has all."""


@dataclass(frozen=True, slots=True)
class TraceShown:
    """One event's trace to look at."""

    event_key: str
    trace_id: str
    page: str
    spans: int
    services: frozenset[str]


@dataclass(frozen=True, slots=True)
class Run:
    """A run that came to its end, whatever the end."""

    tenant_id: str
    ledger: Ledger
    crms: Mapping[str, Crm]
    gaps: tuple[Unexplained, ...]
    sync: sync_pb2.GetStatusResponse
    identity: identity_pb2.GetIdentityStatusResponse
    deliveries: list[sync_pb2.Delivery]
    trace: TraceShown | None
    fed_s: float
    took_s: float
    troubles: Sequence[Trouble] = ()
    """The first rows of each set that were not accepted; those of an earlier, interrupted try are only counted."""

    @property
    def unexplained(self) -> int:
        """Everything that nobody can account for, added up."""
        return sum(gap.count for gap in self.gaps)

    @property
    def complete(self) -> bool:
        """Whether the run succeeded."""
        return self.unexplained == 0


def document(run: Run) -> dict[str, Any]:
    """Return the summary as JSON values."""
    trace = run.trace
    return {
        "tenant_id": run.tenant_id,
        "events": {
            "sent": dict(run.ledger.sent),
            "logged": dict(run.ledger.logged),
            "own": run.ledger.own_logged,
            "projected": run.ledger.projected,
            "superseded": dict(run.ledger.superseded),
            "poisoned": run.ledger.poisoned,
            "waiting": run.ledger.waiting,
        },
        "troubles": [asdict(item) for item in run.troubles],
        "identity": [
            {
                "object": row.object,
                "records": row.records,
                "entities": row.entities,
                "duplicates_resolved": row.records - row.entities,
                "merged": row.merged,
            }
            for row in run.identity.counts
        ],
        "deliveries": [
            {"connector": connector, "object": object_name, "state": state, "count": count}
            for (connector, object_name, state), count in sorted(run.ledger.deliveries.items())
        ],
        "dead_letters": dead_letters(run),
        "crm_records": {
            name: {"delivered": len(crm.delivered), "held": len(crm.held)} for name, crm in run.crms.items()
        },
        "latency": [
            {"connector": row.connector, "samples": row.count, "p50_ms": row.p50_ms, "p95_ms": row.p95_ms}
            for row in run.sync.latencies
        ],
        "trace": None
        if trace is None
        else {
            "event_key": trace.event_key,
            "trace_id": trace.trace_id,
            "page": trace.page,
            "spans": trace.spans,
        },
        "unexplained": run.unexplained,
        "gaps": [asdict(gap) for gap in run.gaps],
        "fed_s": round(run.fed_s, 3),
        "took_s": round(run.took_s, 3),
    }


def dead_letters(run: Run) -> dict[str, int]:
    """Return dead and discarded deliveries by connector, object and the error that names why."""
    ended = {sync_pb2.DELIVERY_STATE_DEAD, sync_pb2.DELIVERY_STATE_DISCARDED}
    named = (
        f"{item.connector} {item.object} {delivery_state(item.state)}: {item.last_error.split(':')[0] or 'unnamed'}"
        for item in run.deliveries
        if item.state in ended
    )
    return dict(Counter(named))


def shown(run: Run) -> list[Any]:
    """Return the summary for people."""
    ledger = run.ledger
    events = [
        (name.replace("unreadable.", "unreadable: "), count) for name, count in sorted(ledger.sent.items())
    ]
    identities = [
        (row.object, row.records, row.entities, row.records - row.entities) for row in run.identity.counts
    ]
    deliveries = [(*key, count) for key, count in sorted(ledger.deliveries.items())]
    crms = [
        (
            name,
            len(crm.delivered),
            len(crm.held),
            "agree" if crm.delivered.keys() == crm.held.keys() else "differ",
        )
        for name, crm in run.crms.items()
    ]
    latencies = [(row.connector, row.count, row.p50_ms, row.p95_ms) for row in run.sync.latencies]
    parts: list[Any] = [
        "",
        table(("events in", "number"), events),
        facts(
            {
                "projected": f"{ledger.projected:,}, of them {ledger.own_logged:,} of our own (the policy, merges)",
                "superseded": ", ".join(f"{rule} {count:,}" for rule, count in ledger.superseded.items()),
                "poisoned": ledger.poisoned,
            }
        ),
        "",
        table(("object", "records", "entities", "duplicates resolved"), identities),
        "",
        table(("connector", "object", "state", "deliveries"), deliveries),
        "",
        table(("CRM", "records delivered", "records it holds", ""), crms),
        "",
        table(("connector", "first attempts", "p50 ms", "p95 ms"), latencies),
        "",
    ]
    if run.troubles:
        rows = [(item.outcome, item.detail) for item in run.troubles[:TROUBLES_SHOWN]]
        parts += [table(("outcome", "why, for the first of them"), rows), ""]
    if dead := dead_letters(run):
        parts += [table(("dead letters", "number"), sorted(dead.items())), ""]
    return [*parts, *_ending(run)]


def _ending(run: Run) -> list[Any]:
    parts: list[Any] = []
    if run.gaps:
        parts += [table(("unexplained", "number"), [(gap.what, gap.count) for gap in run.gaps]), ""]
    about: dict[str, object] = {
        "tenant": run.tenant_id,
        "took": f"{run.took_s:.1f} s (fed in {run.fed_s:.1f} s)",
    }
    if run.trace is not None:
        about |= {
            "one event's trace": run.trace.page,
            "in the terminal": f"headwater trace {run.trace.event_key}",
            "its fate": f"headwater event {run.trace.event_key}",
        }
    colour = "green" if run.complete else "red"
    return [*parts, facts(about), f"[bold {colour}]unexplained: {run.unexplained:,}[/]"]
