"""Owns the fleet: which accounts there are, how one begins, how one starts anew. Knows vendors by their port only."""

from __future__ import annotations

import json
import random
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from headwater.sandbox.accounts import DEFAULT_OPTIONS, Account, VendorName
from headwater.sandbox.call import Answer, Call
from headwater.sandbox.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from headwater.sandbox.faults import Fault
    from headwater.sandbox.limits import Limited, Meter
    from headwater.sandbox.settings import SandboxSettings
    from headwater.sandbox.store.database import Database


class Vendor(Protocol):
    """What a vendor must be able to do for the gate."""

    kinds: tuple[str, ...]

    @property
    def open_paths(self) -> tuple[str, ...]:
        """Where nobody needs a token: token endpoint and consent page; none: the first call opens the account."""

    def meter(self, path: str) -> Meter:
        """Which limit a call counts against."""

    def authenticate(self, account: Account, call: Call) -> Answer | None:
        """None when the call may come in, else the vendor's 401."""

    def handle(self, call: Call, desk: Desk) -> Answer:
        """Answer a call that was let in.

        Raises:
            Refusal: nothing of the call may be kept.
        """

    def subject(self, call: Call) -> tuple[str, str, str | None] | None:
        """(object, operation, record id) of a call that writes records, else None."""

    def seed(self, desk: Desk, kind: str, values: Mapping[str, object], other: tuple[str, str] | None) -> str:
        """Make a record, related to (object, id) `other` where given, and return its id."""

    def limited(self, limited: Limited, call: Call) -> Answer:
        """Turn a call away that is beyond a limit."""

    def storm(self, fault: Fault, call: Call) -> Answer:
        """Turn a call away that is within every limit."""

    def broken(self, fault: Fault, call: Call) -> Answer:
        """A server error in the vendor's own shape."""

    def page(self, fault: Fault) -> Answer:
        """A server error as a web page."""

    def headers(self, account: Account, call: Call, meter: Meter) -> dict[str, str]:
        """What every answer carries."""


@runtime_checkable
class Works(Protocol):
    """A vendor that goes on working after it has answered."""

    def work(self, fleet: Fleet) -> bool:
        """Do the next little of it, in a transaction of its own; False when nothing is left."""

    def bytes_max(self, path: str) -> int | None:
        """The largest body that a path takes; None: as any other."""


@runtime_checkable
class InTokens(Protocol):
    """A vendor that counts the day in tokens, not in calls."""

    def cost(self, call: Call) -> int:
        """What a call takes of the day."""


class Fleet:
    """Every account of every vendor, in one store."""

    def __init__(
        self,
        database: Database,
        settings: SandboxSettings,
        vendors: Mapping[VendorName, Vendor],
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self.database = database
        self.settings = settings
        self.vendors = vendors
        self.now_ms = now_ms
        self.new_id = new_id
        self._accounts: dict[tuple[VendorName, str], Account] = {}
        # asked once: of a protocol that is checked by its members, each question costs as much as a small call
        self._works = {name: vendor for name, vendor in vendors.items() if isinstance(vendor, Works)}
        self._in_tokens = {name: vendor for name, vendor in vendors.items() if isinstance(vendor, InTokens)}

    def work(self) -> bool:
        """Do the next little of what vendors do beside the calls; False when there is nothing."""
        done = [vendor.work(self) for vendor in self._works.values()]
        return any(done)

    def cost(self, vendor: VendorName, call: Call) -> int:
        """What a call takes of the day."""
        counting = self._in_tokens.get(vendor)
        return 1 if counting is None else counting.cost(call)

    def bytes_max(self, vendor: str, path: str) -> int:
        """The largest body that a vendor takes at a path."""
        usual = self.settings.payload_bytes_max
        own = [one.bytes_max(path) for name, one in self._works.items() if name == vendor]
        return max([usual, *(most for most in own if most is not None)])

    def names(self) -> list[tuple[str, str]]:
        """(vendor, account) of every account that was ever opened."""
        return [(row[0], row[1]) for row in self.database.all("list_accounts")]

    def find(self, vendor: VendorName, name: str) -> Account | None:
        """The account, unless it was never opened."""
        known = self._accounts.get((vendor, name))
        if known is not None:
            return known
        row = self.database.one("find_account", vendor, name)
        return None if row is None else self._remember(int(row[0]), vendor, name, row[3])

    def open(self, vendor: VendorName, name: str) -> Account:
        """The account; one that is new is created with the shipped data in it."""
        known = self.find(vendor, name)
        if known is not None:
            return known
        with self.database.transaction():
            options = DEFAULT_OPTIONS[vendor].model_dump_json()
            row = self.database.one("create_account", vendor, name, options)
            account = self._remember(int(row[0]) if row else 0, vendor, name, options)
            self._plant(account)
        return account

    def reset(self, account: Account, *, seed: bool) -> None:
        """Forget everything that happened to an account but its options, and plant the shipped data if asked to."""
        with self.database.transaction():
            account.clear(self.now_ms())
            if seed:
                self._plant(account)

    def desk(self, account: Account, call: Call, operation: str) -> Desk:
        """A desk to work on one call."""
        ttl_s = account.options.token_ttl_s
        return Desk(
            account,
            call,
            operation,
            self.settings.token_ttl_s if ttl_s is None else ttl_s,
            self.new_id,
            lambda subject: random.Random(f"{self.settings.seed}:{account.name}:{subject}"),
        )

    def _remember(self, key: int, vendor: VendorName, name: str, options: str) -> Account:
        account = Account(self.database, key, vendor, name, self.settings.seed)
        account.load(options, self.now_ms())
        self._accounts[vendor, name] = account
        return account

    def _plant(self, account: Account) -> None:
        call = Call(account.vendor, account.name, 0, "seed", "SEED", "/", (), {}, b"", "", self.now_ms())
        desk = self.desk(account, call, "seed")
        vendor = self.vendors[account.vendor]
        planted: dict[str, tuple[str, str]] = {}
        for one in seeds()[account.vendor]:
            other = planted.get(one.get("of", ""))
            record_id = vendor.seed(desk, one["object"], one["values"], other)
            if "ref" in one:
                planted[one["ref"]] = (one["object"], record_id)


@cache
def seeds() -> Mapping[str, list[dict[str, Any]]]:
    """The shipped records by vendor, in planting order."""
    text = resources.files("headwater.sandbox.data").joinpath("seed.json").read_text(encoding="utf-8")
    kept: Mapping[str, list[dict[str, Any]]] = json.loads(text)
    return kept
