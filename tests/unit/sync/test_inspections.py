"""Questions to accounts: answered by who holds the account, with a reason when they cannot be, never for ever."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest
from tests.unit.sync.accounts import document, unguarded
from tests.unit.sync.tenant import TENANT
from tests.unit.sync.virtual_time import run_virtually

from headwater.connectors.base import (
    Automation,
    AutomationKind,
    CallFailed,
    Connector,
    ErrorClass,
    VendorError,
    WriteConditions,
)
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.inspecting import Inspection
from headwater.sync.domain.leasing import Lease
from headwater.sync.rollouts.inspecting import (
    NOBODY,
    WAIT_S,
    InspectionWorker,
    PostedInspections,
    inspected,
)
from headwater.sync.rollouts.ports import Inquiry
from headwater.sync.wakeup import Wakeup

WELCOME = WriteConditions((Automation(AutomationKind.FLOW, "Welcome"),), ("Region__c",))


@dataclass
class Book:
    """Port `InspectionBook` in memory, its bell included."""

    bell: Wakeup = field(default_factory=Wakeup)
    asked: dict[uuid.UUID, Inquiry] = field(default_factory=dict)
    answers: dict[uuid.UUID, Inspection] = field(default_factory=dict)

    async def ask(self, inquiry: Inquiry) -> None:
        """Keep and ring."""
        self.asked[inquiry.inspection_id] = inquiry
        self.bell.set()

    async def answer_of(self, inquiry: Inquiry) -> Inspection | None:
        """Take the answer out."""
        return self.answers.pop(inquiry.inspection_id, None)

    async def waiting(self, accounts: Sequence[tuple[str, str]]) -> tuple[Inquiry, ...]:
        """Return what is asked of *accounts*."""
        return tuple(item for item in self.asked.values() if (item.tenant_id, item.connector) in accounts)

    async def answer(self, inquiry: Inquiry, inspection: Inspection) -> None:
        """Keep the answer."""
        self.answers[self.asked.pop(inquiry.inspection_id).inspection_id] = inspection


@dataclass
class Crm:
    """A connector that tells its conditions, or fails, or never answers."""

    error: ErrorClass | None = None
    hangs: bool = False
    asked: list[str] = field(default_factory=list)

    async def aclose(self) -> None:
        """Nothing to close."""

    async def conditions(self, crm_object: str) -> WriteConditions:
        """Tell."""
        self.asked.append(crm_object)
        if self.hangs:
            await anyio.sleep_forever()
        if self.error is not None:
            raise CallFailed(VendorError(self.error, "NO", "no scope automation"))
        return WELCOME


class Mute:
    """A connector of a vendor that cannot be asked."""

    async def aclose(self) -> None:
        """Nothing to close."""


def account_of(connector: Any, name: str = "salesforce") -> RunningAccount:
    """Return a running account with *connector*."""

    async def connect() -> Connector:
        return cast("Connector", connector)

    return RunningAccount(TENANT, name, document(), Lease(f"connector/{name}", 1), connect, unguarded)


async def told(asked: Sequence[str], *running: RunningAccount) -> dict[str, Inspection]:
    """Ask *asked* for contacts while *running* accounts are in the process; return what they tell."""
    book, accounts = Book(), RunningAccounts()
    found: dict[str, Inspection] = {}
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(InspectionWorker(book, accounts).run, book.bell)
        with accounts.running(running[0]) if running else accounts.running(account_of(Mute(), "other")):
            found.update(
                await PostedInspections(book).inspect(TENANT, dict.fromkeys(asked, ("Contact", "Lead")))
            )
        tasks.cancel_scope.cancel()
    return found


def test_the_holder_of_the_account_answers_for_every_object() -> None:
    """One connector, one question an object."""
    crm = Crm()
    found = run_virtually(lambda: told(["salesforce"], account_of(crm)))
    assert found == {"salesforce": Inspection({"Contact": WELCOME, "Lead": WELCOME})}
    assert crm.asked == ["Contact", "Lead"]


def test_an_account_that_nobody_holds_is_waited_for_no_longer_than_promised() -> None:
    """The others' answers come with it; the operator learns why."""

    async def work() -> tuple[dict[str, Inspection], float]:
        began_s = anyio.current_time()
        found = await told(["salesforce", "hubspot"], account_of(Crm()))
        return found, anyio.current_time() - began_s

    found, took_s = run_virtually(work)
    assert found["hubspot"] == Inspection(hindrance=NOBODY)
    assert not found["salesforce"].hindrance
    assert took_s == pytest.approx(WAIT_S, abs=0.2)


@pytest.mark.parametrize(
    ("connector", "reason"),
    [
        (Crm(error=ErrorClass.PERMISSION), "no scope automation"),
        (Crm(error=ErrorClass.HELD), "no scope automation"),
        (Crm(hangs=True), "did not answer within"),
        (Mute(), "cannot be asked"),
    ],
)
def test_what_keeps_an_account_from_telling_is_told(connector: Any, reason: str) -> None:
    """A refusal, an open breaker, silence and a vendor without the means: never an empty answer."""
    found = run_virtually(lambda: told(["salesforce"], account_of(connector)))
    assert reason in found["salesforce"].hindrance
    assert not found["salesforce"].conditions


def test_a_part_of_the_answer_is_no_answer() -> None:
    """When the second object cannot be asked the first one's conditions are not told alone."""

    class Half(Crm):
        async def conditions(self, crm_object: str) -> WriteConditions:
            self.error = ErrorClass.SERVER if crm_object == "Lead" else None
            return await super().conditions(crm_object)

    found = run_virtually(lambda: inspected(account_of(Half()), ("Contact", "Lead")))
    assert found.hindrance
    assert not found.conditions
