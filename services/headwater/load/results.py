"""A run's results as one document: what was asked, on what, and what came of it. Pure.

Format `headwater-load/1`; times in seconds from the beginning of the measured part, latencies in milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headwater.load.campaign import Outcome
from headwater.load.fleet import PhaseResult
from headwater.load.limit import best, keeps
from headwater.load.meter import COUNTS, Sheet
from headwater.load.plan import INTERVAL_S
from headwater.load.resources import MIB, Usage, Watch
from headwater.load.schedule import Profile, offered_rate

FORMAT: Final = "headwater-load/1"
_OUTCOMES: Final = ("accepted", "duplicate", "quarantined", "refused", "unknown", "shed", "unsent")


@dataclass(frozen=True, slots=True)
class Goals:
    """What a run must reach; None: not asked."""

    p99_ms_max: float | None = None
    rate_min: float | None = None
    errors_max: int | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """The log held against the acknowledgements.

    Args:
        acknowledged: events of which the first acknowledgement said that they are in the log.
        grown: by how much the log grew.
        uncertain: sent, but never answered, or given up: in the log or not.
        unexpected: outcomes other than the one due.
    """

    acknowledged: int
    grown: int
    uncertain: int
    unexpected: int

    @property
    def lost(self) -> int:
        """Acknowledged, but not in the log."""
        return max(0, self.acknowledged - self.grown)

    @property
    def doubled(self) -> int:
        """In the log, but nobody can have sent them once."""
        return max(0, self.grown - self.acknowledged - self.uncertain)

    @property
    def passed(self) -> bool:
        """Whether everything is accounted for."""
        return not (self.lost or self.doubled or self.unexpected)


def verify(everything: Sheet, before: Mapping[str, int], after: Mapping[str, int]) -> Verification:
    """Compare what was acknowledged with the growth of the tenants' logs."""
    grown = sum(after.values()) - sum(before.values())
    counts = everything.counts
    return Verification(
        counts["fresh_recorded"], grown, counts["unknown"] + counts["shed"], counts["unexpected"]
    )


def document(
    outcome: Outcome,
    watch: Watch,
    *,
    parameters: Mapping[str, Any],
    environment: Mapping[str, Any],
    p99_ms_bound: float,
    goals: Goals,
    verification: Verification | None,
) -> dict[str, Any]:
    """Return the results as JSON values."""
    found = _chosen(outcome, p99_ms_bound)
    total = found.total()
    spent_s = _spent_s(found)
    measured: dict[str, Any] = {
        "format": FORMAT,
        "parameters": dict(parameters),
        "environment": dict(environment),
        "measured_s": round(spent_s, 3),
        "throughput": _throughput(total, spent_s),
        "latency_ms": {
            "corrected": total.corrected.summary_ms(),
            "uncorrected": total.uncorrected.summary_ms(),
        },
        "outcomes": {name: total.counts[name] for name in _OUTCOMES},
        "counts": {name: total.counts[name] for name in COUNTS},
        "errors": dict(sorted(total.errors.items())),
        "resources": _resources(watch, found, total, spent_s),
        "timeline": _timeline(outcome, watch),
    }
    if outcome.probes:
        measured["limit"] = _limit(outcome, p99_ms_bound)
    if verification is not None:
        measured["verification"] = _plain_verification(verification)
    measured["goals"] = _judged(goals, measured)
    measured["passed"] = all(goal["met"] for goal in measured["goals"]) and (
        verification is None or verification.passed
    )
    return measured


def _chosen(outcome: Outcome, p99_ms_bound: float) -> PhaseResult:
    """Return the phase that the figures are of: the only one, or the probe at the limit."""
    if not outcome.probes:
        return outcome.measured[0]
    limit = best(outcome.probes, p99_ms_bound)
    return outcome.measured[outcome.probes.index(limit) if limit else -1]


def _spent_s(result: PhaseResult) -> float:
    """Return for how long answers came: the phase, longer where the last ones were late."""
    last = max((index for index, sheet in result.intervals.items() if sheet.counts["messages"]), default=0)
    return max(result.duration_s, last * INTERVAL_S)


def _throughput(total: Sheet, spent_s: float) -> dict[str, float]:
    per_s = {name: total.counts[name] / spent_s for name in ("events", "messages", "bytes_sent")}
    return {f"{name}_per_s": round(value, 1) for name, value in per_s.items()}


def _resources(watch: Watch, result: PhaseResult, total: Sheet, spent_s: float) -> dict[str, Any]:
    """Return CPU and memory of each named group while the phase lasted."""
    usage = watch.between(result.begin_s, result.begin_s + spent_s)
    events = total.counts["events"]
    return {name: _used(samples, events) for name, samples in usage.items() if len(samples) > 1}


def _used(samples: Sequence[Usage], events: int) -> dict[str, float | None]:
    cpu_s = samples[-1].cpu_s - samples[0].cpu_s
    elapsed_s = samples[-1].at_s - samples[0].at_s
    rss = [item.rss_bytes / MIB for item in samples]
    return {
        "cpu_us_per_event": round(cpu_s * 1e6 / events, 2) if events else None,
        "cpu_cores": round(cpu_s / elapsed_s, 3) if elapsed_s else None,
        "rss_mib_first": round(rss[0], 1),
        "rss_mib_last": round(rss[-1], 1),
        "rss_mib_max": round(max(rss), 1),
    }


def _timeline(outcome: Outcome, watch: Watch) -> list[dict[str, Any]]:
    """Return the intervals of every measured phase, one after the other; the one that an end cuts short is partial."""
    rows: list[dict[str, Any]] = []
    origin_s = outcome.measured[0].begin_s
    for result, profile in zip(outcome.measured, outcome.profiles, strict=True):
        last = max(result.intervals, default=-1)
        for index in range(last + 1):
            sheet = result.intervals.get(index, Sheet())
            begin_s = result.begin_s + index * INTERVAL_S
            partial = index == last and index * INTERVAL_S >= result.duration_s
            row = _row(sheet, profile, index) | {"at_s": round(begin_s - origin_s, 3), "partial": partial}
            rows.append(row | {"rss_mib": _rss_at(watch, begin_s + INTERVAL_S)})
    return rows


def _row(sheet: Sheet, profile: Profile, index: int) -> dict[str, Any]:
    offered = offered_rate(profile, (index + 0.5) * INTERVAL_S) if profile else None
    return {
        "events_per_s": round(sheet.counts["events"] / INTERVAL_S, 1),
        "offered_events_per_s": None if offered is None else round(offered, 1),
        "errors": sum(sheet.errors.values()),
        "latency_ms": sheet.corrected.summary_ms(),
        "uncorrected_p99_ms": sheet.uncorrected.summary_ms()["p99"],
    }


def _rss_at(watch: Watch, at_s: float) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, samples in watch.samples.items():
        before = [item for item in samples if item.at_s <= at_s]
        if before:
            found[name] = round(before[-1].rss_bytes / MIB, 1)
    return found


def _limit(outcome: Outcome, p99_ms_bound: float) -> dict[str, Any]:
    limit = best(outcome.probes, p99_ms_bound)
    return {
        "p99_ms_bound": p99_ms_bound,
        "events_per_s": round(limit.rate, 1) if limit else None,
        "probes": [
            {
                "rate": round(item.rate, 1),
                "achieved": round(item.achieved, 1),
                "p99_ms": item.p99_ms,
                "faults": item.faults,
                "kept": keeps(item, p99_ms_bound),
            }
            for item in outcome.probes
        ],
    }


def _plain_verification(found: Verification) -> dict[str, Any]:
    return {
        "acknowledged": found.acknowledged,
        "grown": found.grown,
        "uncertain": found.uncertain,
        "unexpected": found.unexpected,
        "lost": found.lost,
        "doubled": found.doubled,
        "passed": found.passed,
    }


def _judged(goals: Goals, measured: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return every goal with what was seen; what was not seen at all is not met."""
    judged: list[dict[str, Any]] = []
    p99_ms = measured["latency_ms"]["corrected"]["p99"]
    if goals.p99_ms_max is not None:
        met = p99_ms is not None and p99_ms <= goals.p99_ms_max
        judged.append({"goal": "max_p99_ms", "bound": goals.p99_ms_max, "seen": p99_ms, "met": met})
    if goals.rate_min is not None:
        rate = measured["throughput"]["events_per_s"]
        judged.append(
            {"goal": "min_rate", "bound": goals.rate_min, "seen": rate, "met": rate >= goals.rate_min}
        )
    if goals.errors_max is not None:
        errors = sum(measured["errors"].values())
        met = errors <= goals.errors_max
        judged.append({"goal": "max_errors", "bound": goals.errors_max, "seen": errors, "met": met})
    if "limit" in measured:
        seen = measured["limit"]["events_per_s"]
        judged.append(
            {
                "goal": "find_limit",
                "bound": measured["limit"]["p99_ms_bound"],
                "seen": seen,
                "met": bool(seen),
            }
        )
    return judged
