# ruff: noqa: ARG002 - doubles take what their ports take
"""Backfills: how fast, how far, what is refused, what holds them and what ends them."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

import anyio
import pytest
from tests.unit.sync.accounts import unguarded
from tests.unit.sync.tenant import NOON, TENANT

from headwater.connectors.base import CallFailed, Connector, ErrorClass, Page, Polled, Seen, VendorError
from headwater.kernel.clock import SteppedClock
from headwater.kernel.telemetry import TraceContext
from headwater.kernel.telemetry.old_news import BACKFILL_STATE, old_news
from headwater.policy.account import Limits, Window
from headwater.policy.document import PolicyDocument
from headwater.policy.loading import load_policy
from headwater.sync.backfilling.ports import PageRead
from headwater.sync.backfilling.reading import Held, Reading
from headwater.sync.backfilling.worker import BackfillWorker
from headwater.sync.delivery.accounts import RunningAccount, RunningAccounts
from headwater.sync.domain.absence import disbelief
from headwater.sync.domain.backfilling import (
    Backfill,
    BackfillState,
    Part,
    backoff_s,
    call_pause_s,
    predicted_end,
    rest_s,
)
from headwater.sync.domain.lanes import Lane, told_lane
from headwater.sync.domain.leasing import Lease
from headwater.sync.domain.polling import Change, Recorded
from headwater.sync.wakeup import Wakeup

LEASE = Lease("connector/acme/hubspot", 1)
BACKFILL = Backfill(
    TENANT, uuid.UUID(int=1), "hubspot", None, NOON, 1.0, False, BackfillState.RUNNING, "me", "1",
    (Part("contacts", "contact"),),
)  # fmt: skip


def failed(error_class: ErrorClass) -> CallFailed:
    """Return a call that failed."""
    return CallFailed(VendorError(error_class, "CODE", "no"))


@dataclass
class Crm:
    """A CRM that tells its people two a page, one in the first page that is deleted; it may fail."""

    people: int = 5
    errors: list[CallFailed] = field(default_factory=list)
    calls: int = 0

    async def aclose(self) -> None:
        """Nothing to close."""

    def cursor_at(self, since: dt.datetime | None) -> str:
        """Begin with the first."""
        return "0"

    def page_records_max(self, polled: Polled) -> int:
        """Two a page."""
        return 2

    async def count(self, polled: Polled, since: dt.datetime | None) -> int:
        """Count everybody."""
        self.calls += 1
        assert polled.until == NOON
        return self.people

    async def changes(self, polled: Polled, cursor: str, limit: int, now: dt.datetime) -> Page:
        """Return the next page."""
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        start = int(cursor)
        seen = tuple(Seen(str(n), NOON, {"email": f"{n}@x.org"}) for n in range(start, self.people))[:2]
        return Page(seen, (), str(start + 2), start + 2 < self.people)


@dataclass
class Book:
    """A row that holds one backfill."""

    backfill: Backfill = BACKFILL
    stop: str = ""
    pages: list[PageRead] = field(default_factory=list)
    hold_after: int = 99
    behind: int = 0

    async def open(self, accounts: Sequence[tuple[str, str]]) -> list[Backfill]:
        """Return it while it runs."""
        return [self.backfill] if self.backfill.state is BackfillState.RUNNING else []

    async def stop_of(self, tenant_id: str, connector: str, now: dt.datetime) -> str:
        """Return what holds the account."""
        return self.stop

    async def count(
        self, lease: Lease, backfill: Backfill, crm_object: str, expected: int, page_records: int
    ) -> None:
        """Keep the count."""
        (part,) = self.backfill.parts
        self.backfill = replace(
            self.backfill, parts=(replace(part, expected=expected, page_records=page_records),)
        )

    async def move(self, lease: Lease, backfill: Backfill, page: PageRead) -> bool:
        """Compare and set."""
        (part,) = self.backfill.parts
        assert page.before == part.cursor
        self.pages.append(page)
        moved = replace(part, cursor=page.after, done=page.done, read=part.read + page.read)
        self.backfill = replace(self.backfill, parts=(moved,), calls=self.backfill.calls + 1)
        return len(self.pages) < self.hold_after

    async def absent(self, lease: Lease, backfill: Backfill, crm_object: str, source: str) -> str:
        """Say that the listing was cut short."""
        return "cut short"

    async def find(self, lease: Lease, backfill: Backfill, finding: str) -> None:
        """Keep the finding."""
        self.backfill = replace(self.backfill, finding=finding)

    async def end(self, lease: Lease, backfill: Backfill, state: BackfillState, finding: str) -> None:
        """End it."""
        self.backfill = replace(self.backfill, state=state, finding=finding)

    async def waiting(self, tenant_id: str, event_keys: Sequence[str]) -> int:
        """Say how far the projection is behind."""
        self.behind = max(0, self.behind - 1)
        return self.behind


@dataclass
class Log:
    """A log that takes everything once."""

    recorded: dict[str, TraceContext | None] = field(default_factory=dict)

    async def record(
        self, tenant_id: str, changes: Sequence[Change], trace: TraceContext | None = None
    ) -> Recorded:
        """Record."""
        fresh = [item for item in changes if item.external_id not in self.recorded]
        self.recorded.update({item.external_id: trace for item in fresh})
        return Recorded(len(fresh), len(changes) - len(fresh), keys=tuple(item.external_id for item in fresh))


def account_of(crm: Any, lanes: frozenset[Lane] = frozenset(Lane)) -> RunningAccount:
    """Return a running account of *crm*."""

    async def connect() -> Connector:
        return cast("Connector", crm)

    return RunningAccount(TENANT, "hubspot", reads(), LEASE, connect, unguarded, lambda: lanes)


POLICY: Final = """\
format: headwater/v1
version: "1"
systems:
  crm: {layer: record, owner: sales, backup: rev, runbook: docs/crm, inbound: {contact: {fields: {email: email}}}}
objects:
  contact: {fields: {email: {type: email, owners: [crm], rule: most_recent}}}
connectors:
  hubspot:
    vendor: hubspot
    system: crm
    base_url: https://api.hubapi.com
    credentials: env:HEADWATER_SECRET_HUBSPOT
    owner: sales
    backup: rev
    runbook: docs/crm
    limits: {window: {calls: 1000, window_s: 1}}
    objects:
      contact: [{target: contacts, external_id: headwater_id, direction: in, fields: {email: {field: email}}}]
"""


def reads() -> PolicyDocument:
    """Return a policy that reads contacts of HubSpot."""
    return load_policy(POLICY)


def reading(book: Book, log: Log) -> Reading:
    """Return what reads."""
    return Reading(book, log, SteppedClock(NOON), old_news)


@pytest.mark.anyio
async def test_everything_is_counted_read_and_ended() -> None:
    """Page after page, each event under the mark of the backfill lane."""
    crm, book, log = Crm(), Book(), Log()
    await reading(book, log).read(account_of(crm), BACKFILL)
    assert (book.backfill.state, book.backfill.parts[0].expected) == (BackfillState.DONE, 5)
    assert [page.after for page in book.pages] == ["2", "4", "6"]
    assert set(log.recorded) == set("01234")
    assert all(trace and trace.tracestate == BACKFILL_STATE for trace in log.recorded.values())


@pytest.mark.anyio
async def test_a_held_backfill_stops_after_its_page_and_goes_on_behind_it() -> None:
    """What was recorded is behind the cursor; the next go reads no page again and counts nothing again."""
    crm, book, log = Crm(), Book(hold_after=1), Log()
    await reading(book, log).read(account_of(crm), BACKFILL)
    assert (book.backfill.state.name, crm.calls) == ("RUNNING", 2)
    book.hold_after = 99
    await reading(book, log).read(account_of(crm), book.backfill)
    assert (book.backfill.state.name, crm.calls) == ("DONE", 4)


@pytest.mark.anyio
async def test_a_dry_run_only_counts() -> None:
    """One call, no event."""
    crm, book, log = Crm(), Book(), Log()
    await reading(book, log).read(account_of(crm), replace(BACKFILL, dry_run=True))
    assert (crm.calls, log.recorded, book.backfill.state) == (1, {}, BackfillState.DONE)


@pytest.mark.anyio
async def test_nothing_is_called_while_the_account_or_the_day_is_held() -> None:
    """An operator's pause, and a day whose rest is kept for what is more urgent."""
    crm = Crm()
    with pytest.raises(Held, match="paused"):
        await reading(Book(stop="the account is paused"), Log()).read(account_of(crm), BACKFILL)
    with pytest.raises(Held, match="more urgent"):
        await reading(Book(), Log()).read(account_of(crm, frozenset({Lane.LIVE})), BACKFILL)
    assert crm.calls == 0


@pytest.mark.anyio
async def test_the_next_portion_waits_for_the_projection() -> None:
    """A page is behind the cursor only once it is projected."""
    book = Book(behind=3)
    await reading(book, Log()).read(account_of(Crm()), BACKFILL)
    assert (book.behind, book.backfill.state) == (0, BackfillState.DONE)


@pytest.mark.anyio
async def test_what_the_policy_does_not_read_any_more_ends_it() -> None:
    """And a vendor that cannot be asked for a stretch of time."""
    book = Book()
    await reading(book, Log()).read(account_of(Crm()), replace(BACKFILL, parts=(Part("deals", "deal"),)))
    assert book.backfill.state is BackfillState.FAILED
    assert "deals" in book.backfill.finding


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error_class", "state"),
    [(ErrorClass.FORMAT, BackfillState.FAILED), (ErrorClass.SERVER, BackfillState.RUNNING)],
)
async def test_an_error_ends_a_backfill_only_if_it_will_come_again(
    error_class: ErrorClass, state: BackfillState
) -> None:
    """What an operator has to mend ends it; of anything else it tells, and tries again."""
    crm, book, accounts = Crm(errors=[failed(error_class)]), Book(), RunningAccounts()
    worker, bell = BackfillWorker(book, Log(), accounts, SteppedClock(NOON)), Wakeup()
    with accounts.running(account_of(crm)):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(worker.run, bell)
            with anyio.fail_after(5):
                while not book.backfill.finding:
                    await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert book.backfill.state is state


@pytest.mark.parametrize(
    ("limits", "share", "pause_s"),
    [
        (Limits(), 0.5, 0.0),
        (Limits(window=Window(calls=10, window_s=1)), 0.5, 0.2),
        (Limits(window=Window(calls=10, window_s=1), daily_calls=86_400), 0.5, 2.0),
        (Limits(windows=(Window(calls=1, window_s=1, classes=("write",)),)), 0.5, 0.0),
        (Limits(windows=(Window(tokens=100, window_s=10),), costs={"search": 5}), 1.0, 0.5),
    ],
)
def test_calls_keep_to_the_share(limits: Limits, share: float, pause_s: float) -> None:
    """Of the narrowest of windows and day; windows that no search counts in do not matter."""
    assert call_pause_s(limits, share) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("took_s", "page_s", "pause_s"), [(0.1, 0.0, 0.1), (0.1, 1.0, 0.1), (0.1, 4.0, 0.7), (0.5, 1.0, 0.5)]
)
def test_portions_are_spread_over_the_pause_of_their_page(
    took_s: float, page_s: float, pause_s: float
) -> None:
    """And leave the engine at least as long to live events as they took."""
    assert rest_s(took_s, 20, 100, page_s) == pytest.approx(pause_s)


@pytest.mark.parametrize(
    ("held", "absent", "expected", "listed", "believed"),
    [
        (1000, 0, 1000, 1000, True),
        (1000, 100, 900, 900, True),
        (1000, 101, 900, 900, False),
        (60, 50, 10, 10, True),
        (1000, 0, 1000, 979, False),
        (0, 0, 0, 0, True),
    ],
)
def test_a_listing_that_lacks_too_much_is_not_believed(
    held: int, absent: int, expected: int, listed: int, *, believed: bool
) -> None:
    """Neither one that is shorter than the CRM's own count, nor one that lacks a tenth of what we hold."""
    why = disbelief(held=held, absent=absent, expected=expected, listed=listed)
    assert (why == "") is believed


@pytest.mark.anyio
async def test_a_listing_that_is_not_believed_is_told_at_the_end() -> None:
    """The backfill is done; nothing is asked of the records that were not listed."""
    book = Book()
    await reading(book, Log()).read(account_of(Crm()), replace(BACKFILL, absences=True))
    assert (book.backfill.state, book.backfill.finding) == (BackfillState.DONE, "contacts: cut short")


def test_the_end_is_predicted_from_the_pace_so_far() -> None:
    """A hundred in ten seconds: the other hundred takes ten more."""
    part = Part("contacts", "contact", expected=200, read=100)
    assert predicted_end(replace(BACKFILL, parts=(part,), work_s=10.0), NOON) == NOON + dt.timedelta(
        seconds=10
    )
    assert predicted_end(BACKFILL, NOON) is None


def test_pauses_grow_to_a_bound_and_a_wish_is_kept() -> None:
    """A vendor's wish counts, up to the bound as well."""
    assert [backoff_s(n) for n in (1, 2, 3, 50)] == [1.0, 2.0, 4.0, 60.0]
    wish = VendorError(ErrorClass.RATE_LIMIT, "", "", retry_after_s=7.0)
    assert backoff_s(1, wish) == 7.0


def test_old_news_stands_in_the_lane_of_backfills_and_never_in_a_more_urgent_one() -> None:
    """Whatever else the trace state holds; a slower source stays where it is."""
    assert told_lane(Lane.LIVE, f"vendor=1, {BACKFILL_STATE}") is Lane.BACKFILL
    assert told_lane(Lane.RECONCILE, BACKFILL_STATE) is Lane.RECONCILE
    assert told_lane(Lane.LIVE, "headwater=other") is Lane.LIVE
