"""An event's life in a terminal, drawn with rich. Owns the drawing only; text is shown as text, never read as markup."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headwater.console.life import DeliveryLife, EventLife, Resolved


def render_life(life: EventLife) -> Group:
    """Draw an event's life; to be printed by a rich console."""
    parts: list[RenderableType] = [_facts(life)]
    if life.deliveries:
        parts.append(_deliveries(life.deliveries))
    if life.decisions:
        rows = [
            (one.time, one.action, one.connector or one.actor, ", ".join(one.fields))
            for one in life.decisions
        ]
        parts.append(_table("decisions", ("decided", "what", "by, for", "field: rule"), rows))
    rows_of_traces = [(one.part, one.trace_id) for one in life.traces]
    parts.append(_table("traces", ("part", "trace"), rows_of_traces))
    parts += [Text(f"{count} {kind} not shown", "dim") for kind, count in life.left_out.items()]
    parts += [Text(f"not told: {one}", "red") for one in life.missing]
    return Group(*parts)


def _facts(life: EventLife) -> Table:
    drawn = Table(box=None, show_header=False, pad_edge=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    told: list[tuple[str, str]] = [("event", life.event_key)]
    if (one := life.recorded) is not None:
        told += [("record", f"{one.source} / {one.object}"), ("outcome", one.outcome)]
        told += [
            ("happened", one.event_time),
            ("recorded", one.record_time),
            ("released from", one.released_from),
        ]
    if (kept := life.quarantined) is not None:
        told.append(("quarantine", f"{kept.state} {kept.released_as} {'; '.join(kept.broken)}"))
    told += [("identity", _resolved(item)) for item in life.resolved]
    if (done := life.projected) is not None:
        told.append(("projection", f"{done.rule} {done.time}"))
    for name, value in told:
        if value:
            drawn.add_row(name, Text(value))
    return drawn


def _resolved(item: Resolved) -> str:
    joined = f"joined by {item.rule}" if item.rule else "its first record"
    merged = f", merged into {item.merged_into}" if item.merged_into else ""
    return f"{item.entity_id} {joined}; {item.records} records of {', '.join(item.sources)}{merged}"


def _deliveries(deliveries: Iterable[DeliveryLife]) -> Table:
    rows: list[tuple[str | Text, ...]] = []
    for one in deliveries:
        state = Text(one.state, "bold red" if one.dead else "")
        fault = " · ".join(part for part in (one.error, one.kept_back, one.said) if part)
        rows.append(
            (one.connector, state, one.crm_id, one.next_attempt_time, Text(fault, "red"), _to_do(one))
        )
        for item in one.attempts:
            outcome = Text(item.outcome, "red" if item.error else "")
            rows.append(
                (
                    f"  ↳ attempt {item.number}",
                    outcome,
                    f"{item.took_ms:g} ms",
                    item.start_time,
                    item.error,
                    item.trace_id,
                )
            )
    return _table(
        "deliveries", ("connector", "state", "CRM id", "next try", "error", "what to do, trace"), rows
    )


def _to_do(one: DeliveryLife) -> str:
    told = [f"headwater runbook {one.what_to_do}" if one.what_to_do else "", one.runbook]
    told.append(f"owner {one.owner}" if one.owner else "")
    return " · ".join(part for part in told if part)


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> Table:
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        drawn.add_column(name, header_style="dim", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return drawn
