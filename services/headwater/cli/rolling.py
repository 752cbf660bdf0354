"""Bulk changes as commands show and begin them: the dry run, and the rollouts that `--yes` begins."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from headwater.cli.output import table
from headwater.cli.plain import moment, plain
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import rollouts_pb2 as pb

VALUE_CHARS_MAX = 40
"""Length to which values are cut in the table; `--json` has them whole."""


LookAhead = Callable[[Session, Services, pb.RolloutWish, pb.PreviewRolloutResponse], Awaitable[None]]


async def roll_out(
    session: Session, services: Services, wish: pb.RolloutWish, *, yes: bool, staged: LookAhead | None = None
) -> None:
    """Show what *wish* would do, by *staged* where values change; with *yes* begin it and show its rollouts."""
    if not yes:
        request = pb.PreviewRolloutRequest(tenant_id=session.tenant_id, wish=wish)
        found = await services.ask(services.rollouts.PreviewRollout, request)
        await (staged if staged is not None and found.values else _look_ahead)(session, services, wish, found)
        return
    begin = pb.StartRolloutRequest(
        tenant_id=session.tenant_id, request_id=str(uuid.uuid4()), wish=wish, actor=session.actor
    )
    begun = await services.ask(services.rollouts.StartRollout, begin)
    document = plain(begun) | {"dry_run": False}
    session.output.result(document, rollouts_table(begun.rollouts), "see: headwater rollouts show ROLLOUT")


async def _look_ahead(
    session: Session, services: Services, wish: pb.RolloutWish, found: pb.PreviewRolloutResponse
) -> None:
    del services, wish
    shown: list[Any] = [_totals(found.forecasts)]
    for item in found.forecasts:
        if item.field_counts:
            shown.append(_fields(item))
        if item.samples:
            shown.append(_samples(item))
    findings, first = findings_of(found.forecasts)
    session.output.result(
        plain(found) | {"dry_run": True},
        *shown,
        *findings,
        f"nothing was changed; {first}add --yes to begin with the first stage",
    )


def findings_of(forecasts: Iterable[pb.RolloutForecast]) -> tuple[list[Any], str]:
    """Return what accounts were found to have as tables, and what has to be done about it first."""
    findings = [(item.connector, one) for item in forecasts for one in item.findings]
    left = any(not one.acknowledged for _, one in findings)
    first = "acknowledge each finding with --acknowledge-workflows NAME, then " if left else ""
    return [_findings(findings)] if findings else [], first


def rollouts_table(rollouts: Iterable[pb.Rollout]) -> Any:
    """Return rollouts as a table."""
    names = (
        "rollout",
        "account",
        "what",
        "state",
        "stage",
        "records",
        "delivered",
        "failed",
        "under way",
        "why",
    )
    rows = [
        (
            item.rollout_id,
            item.connector or "all",
            pb.RolloutKind.Name(item.kind).removeprefix("ROLLOUT_KIND_").lower(),
            pb.RolloutState.Name(item.state).removeprefix("ROLLOUT_STATE_").lower(),
            stage_name(item.stage.number),
            f"{item.stage.record_count:,} of {item.total_count:,}",
            f"{item.stage.delivered_count:,}",
            f"{item.stage.failed_count + item.stage.failing_count:,}",
            f"{item.stage.open_count + item.stage.failing_count:,}",
            item.reason,
        )
        for item in rollouts
    ]
    return table(names, rows)


def stages_table(stages: Iterable[pb.RolloutStage]) -> Any:
    """Return the stages of a rollout as a table."""
    names = (
        "stage",
        "records",
        "delivered",
        "failing",
        "failed",
        "under way",
        "left out",
        "began",
        "settled",
    )
    rows = [
        (
            stage_name(item.number),
            f"{item.record_count:,}",
            f"{item.delivered_count:,}",
            f"{item.failing_count:,}",
            f"{item.failed_count:,}",
            f"{item.open_count:,}",
            f"{item.left_count:,}",
            moment(item.begin_time),
            moment(item.settle_time),
        )
        for item in stages
    ]
    return table(names, rows)


def stage_name(number: int) -> str:
    """Return the name of a stage; the hundredth takes back what was written."""
    return "back" if number == 100 else str(number)  # noqa: PLR2004 - rollouts.proto


def _totals(forecasts: Iterable[pb.RolloutForecast]) -> Any:
    names = (
        "account",
        "looked at",
        "records",
        "new in the CRM",
        "left out",
        "calls",
        "share of the day",
        "stages",
    )
    rows = [
        (
            item.connector,
            f"{item.scanned_count:,}" + ("" if item.complete else " (and more)"),
            f"{item.record_count:,}",
            f"{item.create_count:,}",
            f"{item.under_way_count:,}",
            f"{item.call_count:,}",
            f"{item.quota_share:.1%} of {item.quota_limit:,}, {item.quota_used:,} used"
            if item.quota_limit
            else "",
            " -> ".join(f"{end:,}" for end in item.stage_ends),
        )
        for item in forecasts
    ]
    return table(names, rows)


def _fields(item: pb.RolloutForecast) -> Any:
    counts = sorted(item.field_counts.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [(item.connector, name, f"{count:,}") for name, count in counts]
    return table(("account", "CRM field", "records"), rows)


def _findings(findings: Iterable[tuple[str, pb.RolloutFinding]]) -> Any:
    names = ("account", "found", "CRM object", "name", "what follows", "acknowledged")
    rows = [
        (account, item.kind, item.crm_object, item.name, item.detail, "yes" if item.acknowledged else "no")
        for account, item in findings
    ]
    return table(names, rows)


def _samples(item: pb.RolloutForecast) -> Any:
    names = ("account", "entity", "what", "CRM field", "before", "after")
    rows = [
        (item.connector, sample.entity_id, sample.action, field, _cut(before), _cut(after))
        for sample in item.samples
        for field, before, after in _changes(sample)
    ]
    return table(names, rows)


def _changes(sample: pb.RolloutSample) -> list[tuple[str, str, str]]:
    if not sample.changes:
        return [("", "", "")]
    return [(change.field, change.before_json, change.after_json) for change in sample.changes]


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"
