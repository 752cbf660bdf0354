"""An event's life as plain HTML: record, identity, decisions, deliveries with their attempts, and the traces of all of it.

Pure: values in, text out; everything is escaped by `markup.text`, without exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from urllib.parse import quote, urlsplit

from headwater.console import life as lives
from headwater.console.life import EventLife
from headwater.console.markup import page, table, text, trace_anchor


def event_page(life: EventLife) -> str:
    """Return the page of one event, whether or not a trace of it was kept."""
    return page(f"Event {life.event_key}", f"<p><a href=/>traces</a></p>{life_section(life, level=1)}")


def unasked_page(event_key: str, why: str) -> str:
    """Return the page of an event that nobody can be asked about, with the field that may be wanting."""
    form = f'<form action="/event/{quote(event_key)}">tenant <input name=tenant> <button>show</button></form>'
    return page("Event", f"<p><a href=/>traces</a></p><h1>Event</h1><p class=bad>{text(why)}</p>{form}")


def runbook_page(code: str, written: str) -> str:
    """Return a runbook's page as it is written."""
    return page(code, f"<p><a href=/>traces</a></p><h1>{text(code)}</h1><pre>{text(written)}</pre>")


def event_address(tenant_id: str, event_key: str) -> str:
    """Return where an event's page is."""
    return f"/event/{quote(event_key)}?tenant={quote(tenant_id)}"


def lives_section(found: Sequence[EventLife], left_out: int) -> str:
    """Return what a trace's page tells of its events: one of them open, several folded."""
    if not found and not left_out:
        return ""
    more = f"<p class=dim>{left_out} more events; find one by its key</p>" if left_out else ""
    opened = " open" if len(found) == 1 else ""
    return (
        "".join(
            f"<details class=life{opened}>{_summary(life)}{life_section(life)}</details>" for life in found
        )
        + more
    )


def life_section(life: EventLife, *, level: int = 2) -> str:
    """Return one event's life; `level` is that of its heading."""
    head = f'<h{level} id="e{text(life.event_key)}">Event <code>{text(life.event_key)}</code></h{level}>'
    missing = "".join(f"<p class=bad>not told: {text(one)}</p>" for one in life.missing)
    left_out = "".join(
        f"<p class=dim>{count} {text(kind)} not shown</p>" for kind, count in life.left_out.items()
    )
    values = f"headwater event {life.event_key} --tenant {life.tenant_id}"
    return (
        f"<section>{head}{missing}{_facts(life)}{_deliveries(life)}{_decisions(life)}{_traces(life)}{left_out}"
        f"<p class=dim>values, with a credential of your own: <code>{text(values)}</code></p></section>"
    )


def _summary(life: EventLife) -> str:
    about = f"{life.recorded.source} {life.recorded.object}" if life.recorded else "not told"
    states = ", ".join(f"{one.connector} {one.state}" for one in life.deliveries)
    dead = " class=bad" if any(one.dead for one in life.deliveries) else ""
    address = event_address(life.tenant_id, life.event_key)
    return (
        f'<summary>▸ <b>event</b> <a href="{text(address)}"><code>{text(life.event_key)}</code></a> {text(about)} '
        f"<span{dead}>{text(states)}</span></summary>"
    )


def _facts(life: EventLife) -> str:
    rows: list[tuple[str, str]] = [("tenant", text(life.tenant_id))]
    if (one := life.recorded) is not None:
        rows += [
            ("record", f"{text(one.source)} / {text(one.object)}"),
            ("outcome", text(one.outcome)),
            ("happened", text(one.event_time)),
            ("recorded", f"{text(one.record_time)} <span class=dim>position {text(one.position)}</span>"),
        ]
        if one.released_from:
            rows.append(("released from", _event_anchor(life.tenant_id, one.released_from)))
    if (kept := life.quarantined) is not None:
        said = text("; ".join(kept.broken))
        freed = f" as {_event_anchor(life.tenant_id, kept.released_as)}" if kept.released_as else ""
        rows.append(("quarantine", f"<span class=bad>{text(kept.state)}</span>{freed} {said}"))
    rows += [("identity", _resolved(one)) for one in life.resolved]
    if (done := life.projected) is not None:
        rows.append(("projection", f"{text(done.rule)} {text(done.time)}"))
    lines = "".join(f"<tr><th>{text(name)}<td>{value}</tr>" for name, value in rows)
    return f"<table class=facts>{lines}</table>"


def _resolved(one: lives.Resolved) -> str:
    joined = f"joined by {one.rule}" if one.rule else "the entity's first record"
    merged = f", merged into {one.merged_into}" if one.merged_into else ""
    shared = f"{one.records} records of {', '.join(one.sources)}" if one.records > 1 else "its only record"
    return f"<code>{text(one.entity_id)}</code> {text(f'{joined} {one.time}; {shared}{merged}')}"


def _deliveries(life: EventLife) -> str:
    if not life.deliveries:
        return ""
    rows = []
    for one in life.deliveries:
        bad = ' class="bad"' if one.dead else ""
        rows.append(
            f"<tr><td>{text(one.connector)}<td{bad}>{text(one.state)}<td class=n>{one.delivered_version} of {one.desired_version}"
            f"<td><code>{text(one.crm_id)}</code><td class=n>{one.failures or ''}<td>{text(one.next_attempt_time)}<td>{_fault(one)}</tr>"
        )
        rows += [_attempt(item) for item in one.attempts]
    columns = (
        "delivery, attempts",
        "state",
        "n:version",
        "CRM id",
        "n:failures",
        "next try",
        "error, what to do",
    )
    return f"<h3>Deliveries</h3>{table(columns, rows)}"


def _fault(one: lives.DeliveryLife) -> str:
    parts = [
        f"<span class=bad>{text(one.error)}</span>" if one.error else "",
        text(one.kept_back),
        text(one.said),
    ]
    if one.what_to_do:
        code = f'<a href="/runbook/{quote(one.what_to_do)}">runbook {text(one.what_to_do)}</a>'
        parts.append(f"<b>{code}</b>" if one.dead else code)
    if one.owner:
        parts.append(f"owner {text(one.owner)}")
    if one.runbook:
        parts.append(f"account's runbook {_outside(one.runbook)}")
    return " · ".join(part for part in parts if part)


def _attempt(item: lives.Try) -> str:
    shown = f"{_at(item.trace_id, item.span_id)} <span class=dim>version {item.version}</span>"
    bad = " class=bad" if item.error else ""
    return (
        f"<tr class=try><td>↳ attempt {item.number} {shown}<td{bad}>{text(item.outcome)}<td class=n colspan=3>"
        f"{item.took_ms:g} ms<td>{text(item.start_time)}<td>{text(item.error)}</tr>"
    )


def _decisions(life: EventLife) -> str:
    if not life.decisions:
        return ""
    rows = [
        f"<tr><td>{text(one.time)}<td>{text(one.action)}<td>{text(one.connector or one.actor)}<td>{text(', '.join(one.fields))}"
        f"<td>{text(one.policy_version)}</tr>"
        for one in life.decisions
    ]
    columns = ("decided", "what", "by, for", "field: rule", "policy")
    return f"<details open><summary><h3>Decisions</h3></summary>{table(columns, rows)}</details>"


def _traces(life: EventLife) -> str:
    if not life.traces:
        return ""
    lines = "".join(f"<li>{text(one.part)} {_trace(one)}</li>" for one in life.traces)
    return f"<h3>Traces</h3><ul>{lines}</ul>"


def _trace(one: lives.LifeTrace) -> str:
    if one.held:
        return _at(one.trace_id, one.span_id)
    return f"<code>{text(one.trace_id)}</code> <span class=dim>not here: not sampled, or let go</span>"


def _at(trace_id: str, span_id: str) -> str:
    if not trace_id:
        return ""
    return trace_anchor(trace_id, f"{trace_id[:8]}…", f"s{span_id}" if span_id else "")


def _event_anchor(tenant_id: str, event_key: str) -> str:
    return f'<a href="{text(event_address(tenant_id, event_key))}"><code>{text(event_key)}</code></a>'


def _outside(address: str) -> str:
    """Return a link where the address is one of the web, else its text: a policy is not trusted to run a script."""
    if urlsplit(address).scheme in {"http", "https"}:
        return f'<a href="{text(address)}" rel="noreferrer noopener">{text(address)}</a>'
    return text(address)


def keys_of(pairs: Iterable[tuple[str, str]], most: int) -> tuple[list[tuple[str, str]], int]:
    """Return the first *most* different pairs, and how many there are beyond."""
    different = list(dict.fromkeys(pairs))
    return different[:most], max(0, len(different) - most)
