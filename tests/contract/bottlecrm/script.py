"""What the connector does with a BottleCRM, from the first preparation to a deletion: recorded and replayed alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from headwater.connectors.base import (
    CallFailed,
    Page,
    Polled,
    Reference,
    Report,
    Target,
    VendorError,
    Write,
    Written,
)
from headwater.connectors.bottlecrm.client import BottleCrmConnector

PERSON: Final = Target(
    "contact", "contacts", "headwater_id", ("email", "last_name", "title", "do_not_call"), ("account",)
)
COMPANY: Final = Target("account", "accounts", "headwater_id", ("name", "annual_revenue"))
DEAL: Final = Target("deal", "opportunities", "headwater_id", ("name", "amount", "closed_on"), ("contacts",))
TASK: Final = Target("activity", "tasks", "headwater_id", ("title", "due_date"))
LEAD: Final = Target("lead", "leads", "headwater_id", ("email", "company_name"))
POLLED: Final = Polled("contacts", ("email", "last_name", "headwater_id"))
NOBODY: Final = "00000000-0000-4000-8000-000000000000"
NOW: Final = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
"""Whenever it is recorded: the only clock of ours that the connector is told."""
ADA: Final = {"first_name": "Ada", "last_name": "Byron", "email": "ada@example.org"}
GRACE: Final = {"first_name": "Grace", "last_name": "Hopper", "email": "grace@example.org"}


@dataclass(slots=True)
class Told:
    """What the connector said, step by step."""

    prepared: list[Report] = field(default_factory=list)
    outcomes: dict[str, Any] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    first_round: list[Page] = field(default_factory=list)
    second_round: list[Page] = field(default_factory=list)
    refused: Report | None = None
    narrow: VendorError | None = None


async def play(
    main: BottleCrmConnector,
    refused: BottleCrmConnector,
    narrow: BottleCrmConnector,
    delete: Callable[[str], Awaitable[None]],
) -> Told:
    """Do everything once.

    Args:
        refused: the same account with a token that nobody knows.
        narrow: the same with one that may only read contacts and custom fields.
        delete: deletes a contact, as a person would.
    """
    told = Told()
    for _ in range(2):
        told.prepared.append(await main.prepare([PERSON, COMPANY, DEAL, TASK, LEAD]))

    async def write(step: str, target: Target, *args: Any) -> Any:
        [told.outcomes[step]] = await main.upsert(target, [Write(*args)])
        return told.outcomes[step]

    account = await write("account", COMPANY, "co-1", "", {"name": "Acme", "annual_revenue": 1250000.5})
    works_for = (Reference("account", (account.crm_id,)),)
    ada = await write("created", PERSON, "ext-1", "", {**ADA, "title": None, "do_not_call": True}, works_for)
    await write("repeated", PERSON, "ext-1", "", ADA)
    await write("by id", PERSON, "ext-1", ada.crm_id, {"title": "Countess"})
    await write("conflict", PERSON, "ext-2", "", {**GRACE, "email": "ADA@example.org"})
    await write("bad", PERSON, "ext-2", "", {**GRACE, "email": "nobody"})
    await write("lost", PERSON, "ext-2", "", GRACE, (Reference("account", (NOBODY,)),))
    await write("unknown", PERSON, "ext-2", "", {**GRACE, "shoe_size": 38})
    grace = await write("second", PERSON, "ext-2", "", GRACE)
    deal = await write("deal", DEAL, "d-1", "", {"name": "Engine", "amount": 12.5, "closed_on": "2026-01-31"},
                       (Reference("contacts", (ada.crm_id,)),))  # fmt: skip
    await write("deal again", DEAL, "d-1", deal.crm_id, {}, (Reference("contacts", (grace.crm_id,)),))
    await write(
        "task",
        TASK,
        "t-1",
        "",
        {"title": "Call", "status": "New", "priority": "Low", "due_date": "2026-01-31"},
    )
    await write(
        "lead", LEAD, "l-1", "", {"first_name": "Al", "email": "al@example.org", "company_name": "Initech"}
    )
    for target, key in ((PERSON, "ext-1"), (COMPANY, "co-1"), (DEAL, "d-1"), (TASK, "t-1"), (LEAD, "l-1")):
        told.found.update(await main.look_up(target, [key, f"{key} not"]))
    told.found["owners"] = await main.owners(PERSON, [ada.crm_id, NOBODY])
    cursor = await _round(main, "", told.first_round)
    await delete(grace.crm_id)
    await write("changed", PERSON, "ext-1", ada.crm_id, {"last_name": "Lovelace"})
    await write("gone", PERSON, "ext-2", grace.crm_id, GRACE)
    await _round(main, cursor, told.second_round)
    told.refused = await refused.test_connection()
    try:
        await narrow.upsert(PERSON, [Write("ext-9", "", {**ADA, "email": "nine@example.org"})])
    except CallFailed as failed:
        told.narrow = failed.error
    return told


async def _round(connector: BottleCrmConnector, cursor: str, pages: list[Page]) -> str:
    while True:
        pages.append(await connector.changes(POLLED, cursor, 50, NOW))
        cursor = pages[-1].next_cursor
        if not pages[-1].more:
            return cursor


def written(told: Told, step: str) -> Written:
    """Return the outcome of a step that must have succeeded."""
    outcome = told.outcomes[step]
    assert isinstance(outcome, Written), outcome
    return outcome
