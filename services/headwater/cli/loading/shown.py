"""A load's progress and results for people: a live line on stderr, tables on stdout."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from headwater.cli.output import facts, table
from headwater.load.campaign import Live
from headwater.load.meter import Sheet

_RECENT_S: Final = 2.0
"""Time that the live figures cover."""
_LATENCIES: Final = ("p50", "p90", "p99", "p99.9", "max", "mean")


@contextmanager
def live(console: Console) -> Iterator[Callable[[Live], None]]:
    """Show rate, p99, errors and how far each phase is; nothing where nobody watches."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TimeElapsedColumn(),
        TextColumn("{task.fields[told]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        shown = _Shown(bar)
        yield shown.follow


class _Shown:
    """The bars of the phases so far."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, Any] = {}
        self._recent: deque[tuple[float, Sheet]] = deque()
        self._errors = 0

    def follow(self, seen: Live) -> None:
        """Take one sender's report."""
        if seen.phase not in self._tasks:
            self._recent.clear()
            self._errors = 0
            self._tasks[seen.phase] = self._bar.add_task(seen.phase, total=seen.phase_s, told="")
        now_s = time.monotonic()
        self._recent.append((now_s, seen.sheet))
        self._errors += sum(seen.sheet.errors.values())
        while self._recent and self._recent[0][0] < now_s - _RECENT_S:
            self._recent.popleft()
        done_s = min(seen.at_s, seen.phase_s)
        self._bar.update(self._tasks[seen.phase], completed=done_s, told=self._told(seen.at_s))

    def _told(self, at_s: float) -> str:
        recent = Sheet()
        for _, sheet in self._recent:
            recent.merge(sheet)
        p99_us = recent.corrected.percentile_us(99.0)
        p99 = "-" if p99_us is None else f"{p99_us / 1000:,.1f} ms"
        rate = recent.counts["events"] / max(0.5, min(_RECENT_S, at_s))
        return f"{rate:>9,.0f} events/s   p99 {p99}   errors {self._errors:,}"


def shown(document: Mapping[str, Any]) -> list[RenderableType]:
    """Return a run's results as tables."""
    latency = document["latency_ms"]
    rows = [(name, *(latency[name][key] for key in _LATENCIES)) for name in ("corrected", "uncorrected")]
    found: list[RenderableType] = [
        facts(_head(document)),
        "",
        table(("latency, ms", *_LATENCIES), [_rounded(row) for row in rows]),
        "",
        table(
            ("outcome", "events"), [(name, count) for name, count in document["outcomes"].items() if count]
        ),
    ]
    if document["errors"]:
        found += ["", table(("error", "calls"), list(document["errors"].items()))]
    if document["resources"]:
        found += ["", _resources(document["resources"])]
    if "limit" in document:
        found += ["", *_limit(document["limit"])]
    if "verification" in document:
        found += ["", _verified(document["verification"])]
    if document["goals"]:
        goals = [(item["goal"], item["bound"], item["seen"], item["met"]) for item in document["goals"]]
        found += ["", table(("goal", "bound", "seen", "met"), goals)]
    return found


def _head(document: Mapping[str, Any]) -> dict[str, object]:
    asked, rate = document["parameters"], document["throughput"]
    counts = document["counts"]
    lanes = "streams" if asked["shape"] == "stream" else "callers"
    return {
        "load": f"{asked['shape']} of {asked['batch']}, {asked['load']}",
        "senders": f"{asked['processes']} process(es), {asked['lanes']} {lanes} each",
        "acknowledged": f"{counts['events']:,} events in {document['measured_s']:.1f} s",
        "throughput": f"{rate['events_per_s']:,.0f} events/s, {rate['messages_per_s']:,.0f} messages/s, "
        f"{rate['bytes_sent_per_s'] / 1e6:,.1f} MB/s",
        "pushed back": f"{counts['pushed_back']:,} times" if counts["pushed_back"] else "",
    }


def _resources(used: Mapping[str, Mapping[str, Any]]) -> RenderableType:
    columns = ("cpu_us_per_event", "cpu_cores", "rss_mib_first", "rss_mib_last", "rss_mib_max")
    rows = [(name, *(item[column] for column in columns)) for name, item in sorted(used.items())]
    names = ("process", "CPU µs/event", "cores", "RSS MiB first", "last", "most")
    return table(names, [tuple(_two(value) for value in row) for row in rows])


def _limit(limit: Mapping[str, Any]) -> list[RenderableType]:
    rows = [
        (probe["rate"], probe["achieved"], _two(probe["p99_ms"]), probe["faults"], probe["kept"])
        for probe in limit["probes"]
    ]
    found = limit["events_per_s"]
    told = f"{found:,.0f} events/s" if found else "no rate tried was kept"
    return [
        table(("rate", "achieved", "p99, ms", "faults", "kept"), rows),
        f"limit at p99 ≤ {limit['p99_ms_bound']:g} ms: {told}",
    ]


def _verified(found: Mapping[str, Any]) -> str:
    verdict = "verified" if found["passed"] else "NOT verified"
    return (
        f"{verdict}: {found['acknowledged']:,} acknowledged as recorded, the log grew by {found['grown']:,}; "
        f"{found['lost']:,} lost, {found['doubled']:,} doubled, {found['unexpected']:,} unexpected outcomes, "
        f"{found['uncertain']:,} never answered"
    )


def _rounded(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(_two(value) for value in row)


def _two(value: Any) -> Any:
    """Return a number as text with two decimals; everything else as it is."""
    return f"{value:,.2f}" if isinstance(value, float) else value
