"""A fleet in memory with a clock and ids of the test's own, called without any socket."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import msgspec

from headwater.sandbox.app import fleet_of
from headwater.sandbox.call import Answer, Call, Refusal
from headwater.sandbox.settings import SandboxSettings
from headwater.sandbox.store.database import Database

if TYPE_CHECKING:
    from headwater.sandbox.accounts import Account, VendorName

START_MS = 1_700_000_000_000


class Bench:
    """One empty account and a way to call it past the gate."""

    def __init__(self, vendor: VendorName) -> None:
        self.now_ms = START_MS
        self.headers: dict[str, str] = {}
        numbers = itertools.count(1)
        self.database = Database(None)
        self.fleet = fleet_of(
            SandboxSettings(), self.database, lambda: self.now_ms, lambda: f"id-{next(numbers)}"
        )
        self.account: Account = self.fleet.open(vendor, "unit")
        self.fleet.reset(self.account, seed=False)
        self.vendor = self.fleet.vendors[vendor]

    def call(self, method: str, path: str, body: Any = None, **query: str) -> Answer:
        """The vendor's answer, refusals included, in a transaction as at the gate."""
        raw = b"" if body is None else msgspec.json.encode(body)
        number = self.account.take_call()
        name: VendorName = self.account.vendor
        call = Call(
            name, "unit", number, "r", method, path, tuple(query.items()), self.headers, raw, "", self.now_ms
        )
        subject = self.vendor.subject(call)
        try:
            with self.database.transaction():
                return self.vendor.handle(
                    call, self.fleet.desk(self.account, call, subject[1] if subject else "")
                )
        except Refusal as refusal:
            return refusal.answer

    def effects(self) -> list[str]:
        """The effects in the arrival log."""
        return [line["effect"] for line in self.account.arrivals.page(0, 1000)]
