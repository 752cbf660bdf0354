"""The quarterly review of fields for people: on the terminal, and as a page. Pure, but for asking."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from headwater.cli.output import facts, table
from headwater.cli.plain import moment, plain
from headwater.cli.reconcile_page import FINDINGS, finding_rows, tables_page
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.errors import NotFound
from headwater.sync.v1 import reconciliation_pb2 as pb

JOB: Final = "quarterly"
RUNS_MAX: Final = 100
MAPPED: Final = ("way", "field", "in the CRM", "class", "records", "newest")
ACCOUNTS: Final = ("account", "reviewed", "owner", "backup", "what it found")


async def order_review(session: Session, services: Services, connector: str) -> Sequence[str]:
    """Order a review now; return whose."""
    request = pb.RunReconciliationRequest(
        tenant_id=session.tenant_id, connector=connector, job=JOB, actor=session.actor
    )
    return (await services.ask(services.reconciliation.RunReconciliation, request)).connectors


async def last_reviews(
    session: Session, services: Services, connector: str
) -> list[tuple[pb.ReconciliationRun, dict[str, Any]]]:
    """Return the last review of each account with its report. Raises: NotFound before the first."""
    request = pb.ListRunsRequest(
        tenant_id=session.tenant_id, connector=connector, job=JOB, page_size=RUNS_MAX
    )
    found = await services.ask(services.reconciliation.ListRuns, request)
    last: dict[str, pb.ReconciliationRun] = {}
    for run in found.runs:
        last.setdefault(run.connector, run)
    if not last:
        message = (
            "no account was reviewed yet: headwater policy review --run orders it, and it takes a moment"
        )
        raise NotFound(message, reason="NO_REVIEW")
    return [(run, json.loads(run.report)) for _, run in sorted(last.items())]


def review_document(reviews: Sequence[tuple[pb.ReconciliationRun, dict[str, Any]]]) -> dict[str, Any]:
    """Return reviews for machines."""
    return {"reviews": [{**plain(run), "report": report} for run, report in reviews]}


def review_tables(
    reviews: Sequence[tuple[pb.ReconciliationRun, dict[str, Any]]],
) -> tuple[RenderableType, ...]:
    """Return reviews for the terminal: the accounts, then what each has to be told of."""
    rows = [_account(run, report) for run, report in reviews]
    parts: list[RenderableType] = [table(ACCOUNTS, rows)]
    for run, report in reviews:
        if found := finding_rows(report):
            parts += [facts({"account": run.connector}), table(FINDINGS, found)]
    return tuple(parts)


def review_page(reviews: Sequence[tuple[pb.ReconciliationRun, dict[str, Any]]], tenant_id: str) -> str:
    """Return reviews as a page: besides, every mapped field with its use."""
    accounts = [_account(run, report) for run, report in reviews]
    parts: list[tuple[str, Sequence[str], Sequence[Sequence[object]]]] = [("Accounts", ACCOUNTS, accounts)]
    for run, report in reviews:
        parts.append((f"{run.connector}: findings", FINDINGS, finding_rows(report)))
        parts.append((f"{run.connector}: mapped fields", MAPPED, _mapped(report)))
    return tables_page("Review of mapped fields, scopes and grants", tenant_id, parts)


def _account(run: pb.ReconciliationRun, report: Mapping[str, Any]) -> tuple[object, ...]:
    people = report.get("people", {})
    return (
        run.connector,
        moment(run.end_time),
        people.get("owner", ""),
        people.get("backup", ""),
        run.detail,
    )


def _mapped(report: Mapping[str, Any]) -> list[tuple[object, ...]]:
    return [
        (
            item["way"], f"{item['object']}.{item['field']}", item["crm"], item["class"], item["records"],
            item["newest_time"][:10],
        )
        for item in report.get("mapped", [])
    ]  # fmt: skip
