"""One look at a tenant as people see it, and as a JSON document. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from headwater.cli.output import facts, table
from headwater.cli.overview.keeping import kept_words, region_words
from headwater.cli.overview.numbers import Number, Objective, five_numbers, objectives
from headwater.cli.overview.reading import Answers
from headwater.cli.plain import moment, plain
from headwater.cli.wording import delivery_state, disposition
from headwater.runbooks import codes
from headwater.sync.v1 import sync_pb2

OLD_S: Final = 900.0
"""Age of the first in line from which it is shown in red: the alerts' (policy, `alarms.backlog_age_s`)."""
MESSAGE_CHARS: Final = 160
NEARLY_ALL: Final = 0.99
"""Of a share between this and all, what is missing counts: it is shown with more digits."""
_MARKS: Final = {True: "[green]ok[/]", False: "[red]missed[/]", None: ""}


def document(answers: Answers) -> dict[str, Any]:
    """Return everything for a machine."""
    stand = _stand(answers)
    return {
        "tenant_id": answers.tenant_id,
        "numbers": [asdict(item) for item in _numbers(answers)],
        "objectives": [asdict(item) for item in stand],
        "connectors": [plain(item) for item in answers.connectors],
        "last_error": plain(answers.groups[0]) if answers.groups else None,
        "processes": {page.process: page.answers for page in answers.pages},
        "log_lag_s": answers.log_lag_s,
        "spans_lost": answers.spans_lost,
        "ingest": plain(answers.ingest),
        "identity": plain(answers.identity),
        "sync": plain(answers.sync),
    }


def screen(answers: Answers) -> RenderableType:
    """Return one screen."""
    parts: list[RenderableType] = [
        _numbers_table(_numbers(answers)),
        "",
        _accounts_table(answers.connectors, _stand(answers)),
        "",
        _flow(answers),
    ]
    if answers.groups:
        parts += ["", _last_error(answers.groups[0])]
    return Group(*parts)


def counts(answers: Answers) -> Sequence[RenderableType]:
    """Return how many of what there are, from the log to the CRMs."""
    ingest, identity, sync = answers.ingest, answers.identity, answers.sync
    events = [(row.source, row.object, disposition(row.disposition), row.count) for row in ingest.counts]
    entities = [(row.object, row.records, row.entities, row.merged) for row in identity.counts]
    deliveries = [
        (row.connector, row.object, delivery_state(row.state), row.count) for row in sync.deliveries
    ]
    return (
        table(("source", "object", "disposition", "events"), events, title="log"),
        table(("object", "records", "entities", "merged"), entities, title="identity"),
        table(("connector", "object", "state", "deliveries"), deliveries, title="delivery"),
    )


def _numbers(answers: Answers) -> tuple[Number, ...]:
    return five_numbers(answers.sync, answers.identity, answers.connectors, answers.groups)


def _stand(answers: Answers) -> tuple[Objective, ...]:
    names = [item.connector for item in answers.connectors]
    return objectives(answers.sync, names, answers.objectives)


def _numbers_table(numbers: Sequence[Number]) -> Table:
    drawn = table(("the five numbers", "", "goal", "", ""), ())
    drawn.columns[1].justify = "right"
    for item in numbers:
        shown = "-" if item.value is None else _value(item)
        drawn.add_row(
            item.name, f"[bold]{shown}[/]", item.goal, _MARKS[item.met], f"[dim]{escape(item.of)}[/]"
        )
    return drawn


def _value(item: Number) -> str:
    assert item.value is not None  # noqa: S101 - asked before
    if item.unit == "share":
        return _share(item.value)
    return f"{item.value:,.3g} s" if item.unit == "s" else f"{item.value:,.0f} {item.unit}"


def _share(value: float | None) -> str:
    """Return a share in per cent, with as many digits as its distance from all deserves."""
    if value is None:
        return "-"
    return f"{value * 100:.3f} %" if NEARLY_ALL <= value < 1 else f"{value * 100:.1f} %"


def _accounts_table(connectors: Sequence[sync_pb2.Connector], stand: Sequence[Objective]) -> Table:
    columns = (
        "account",
        "state",
        "breaker",
        "waiting",
        "oldest",
        "dead",
        "success",
        "budget",
        "p95",
        "quota today",
    )
    drawn = table(columns, ())
    for number in range(3, 9):
        drawn.columns[number].justify = "right"
    for item, objective in zip(connectors, stand, strict=True):
        used = objective.budget_used
        drawn.add_row(
            escape(item.connector),
            _state(item),
            _breaker(item),
            f"{item.pending_count:,}",
            _red(f"{item.oldest_pending_s:,.0f} s", when=item.oldest_pending_s > OLD_S),
            _red(f"{item.dead_count:,}", when=item.dead_count > 0),
            _share(objective.success),
            "-" if used is None else _red(f"{used:.0%}", when=used > 1),
            "-" if objective.p95_ms is None else f"{objective.p95_ms / 1e3:,.3g} s",
            _quota(item),
        )
    return drawn


def _state(item: sync_pb2.Connector) -> str:
    if item.finding:
        return f"[red]{escape(item.finding)}[/]"
    if item.paused:
        return "[yellow]paused[/]"
    if not item.holder:
        return "[red]nobody runs it[/]"
    return f"[yellow]closed, {escape(item.closed_by)}[/]" if item.closed_by else "[green]running[/]"


def _breaker(item: sync_pb2.Connector) -> str:
    forced = " (forced)" if item.breaker_forced else ""
    return _red(f"{item.breaker_state.replace('_', ' ')}{forced}", when=item.breaker_state != "closed")


def _quota(item: sync_pb2.Connector) -> str:
    if not item.quota_limit:
        return f"{item.quota_used:,}"
    shown = f"{item.quota_used:,} / {item.quota_limit:,} ({item.quota_used / item.quota_limit:.0%})"
    if item.HasField("quota_forecast_time"):
        shown += f", used up {item.quota_forecast_time.ToDatetime():%H:%M} UTC"
    return _red(shown, when=item.quota_alert)


def _flow(answers: Answers) -> Table:
    sync = answers.sync
    superseded = sum(row.count for row in sync.superseded)
    lag = answers.log_lag_s
    return facts(
        {
            "log": f"{sync.events_projected:,} projected, {superseded:,} superseded, {sync.events_waiting:,} waiting"
            + (f", the oldest for {lag:,.0f} s" if lag else ""),
            "quarantine, open": answers.ingest.quarantine_open,
            "kept": kept_words(answers.ingest.retention),
            "region": region_words(answers.ingest),
            "poisoned": sync.events_poisoned or "",
            "parked": f"{sync.events_parked:,}: {sync.parked_reason}" if sync.events_parked else "",
            "dead letters": sum(item.dead_count for item in answers.connectors),
            "pairs to review": answers.identity.merge_candidates,
            "do not answer": ", ".join(answers.silent),
            "spans lost": f"{answers.spans_lost:,.0f}" if answers.spans_lost else "",
        }
    )


def _last_error(group: sync_pb2.ErrorGroup) -> RenderableType:
    code = next((name for name in (group.error_code, group.error_class) if name in codes()), "")
    return facts(
        {
            "last error": f"{moment(group.last_seen_time)} {group.connector}, {group.endpoint}: "
            f"{group.error_class} {group.error_code}".rstrip(),
            "": group.message[:MESSAGE_CHARS],
            "what to do": f"headwater runbook {code}" if code else f"headwater errors show {group.group_id}",
        }
    )


def _red(text: str, *, when: bool) -> str:
    return f"[red]{text}[/]" if when else text
