"""Owns the accounts of the fleet: their options, tokens, call log and life. Knows no vendor rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from headwater.sandbox.arrivals import ArrivalLog
from headwater.sandbox.automations import PlantedAutomation
from headwater.sandbox.faults import FaultBook, FaultPlan
from headwater.sandbox.limits import (
    DAY_MS,
    SEARCH_WINDOW_MS,
    LimitState,
    Meter,
    SlidingWindow,
    most_in_window,
)
from headwater.sandbox.store.records import RecordBook

if TYPE_CHECKING:
    from headwater.sandbox.call import Call
    from headwater.sandbox.store.database import Database

VendorName = Literal["hubspot", "salesforce", "pipedrive", "dynamics", "enrichment"]
Verdict = Literal["admitted", "limited", "unauthorized", "token"]

ACCOUNT_NAME = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")

_CLEARED = (
    "bulk_rows",
    "bulk_jobs",
    "records",
    "lookups",
    "associations",
    "properties",
    "tokens",
    "oauth_grants",
    "cursors",
    "faults",
    "calls",
    "arrivals",
)


class AccountOptions(BaseModel):
    """What can be set per account; counts are calls, None is without limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls_max: int | None = Field(default=None, ge=0)
    """Calls in any `calls_window_ms`."""
    calls_window_ms: int = Field(default=10_000, ge=100, le=600_000)
    search_calls_max: int | None = Field(default=None, ge=0)
    """Search calls in any second (HubSpot)."""
    calls_daily_max: int = Field(default=100_000, ge=0)
    """Calls from midnight to midnight UTC; tokens where the vendor counts in them (Pipedrive)."""
    long_calls_max: int | None = Field(default=None, ge=0)
    """Calls in flight for longer than `long_call_ms` beyond which no other is let in (Salesforce)."""
    long_call_ms: int = Field(default=20_000, ge=1)
    bulk_batches_daily_max: int = Field(default=15_000, ge=0)
    """Salesforce: batches of 10,000 records that bulk jobs may make from midnight to midnight UTC."""
    execution_ms_max: int | None = Field(default=None, ge=0)
    """Time that calls may take altogether in any `calls_window_ms` (Dynamics)."""
    token_ttl_s: int | None = Field(default=None, ge=0)
    """Life of the tokens given from now on; None takes the fleet's."""
    rotate_refresh_tokens: bool = False
    """Give a new refresh token with every access token; the one before is good for nothing from then on."""
    external_id_field: str = "headwater_id"
    """Field shown in the arrival log as external id."""
    duplicate_rule: bool = False
    """Salesforce: refuse a second contact with the same email (DUPLICATES_DETECTED)."""
    event_retention_s: float = Field(default=259_200.0, ge=0)
    """Salesforce: how long change events can be told again (72 hours)."""
    event_keepalive_s: float = Field(default=270.0, gt=0)
    """Salesforce: longest silence of a subscription before it is told the newest replay id."""
    automations: tuple[PlantedAutomation, ...] = ()
    """What the account's people have automated."""
    required_fields: dict[str, tuple[str, ...]] = {}
    """HubSpot: object to the properties that its schema says a new record must have."""


DEFAULT_OPTIONS: dict[VendorName, AccountOptions] = {
    "hubspot": AccountOptions(calls_max=100, search_calls_max=5, calls_daily_max=250_000),
    "salesforce": AccountOptions(long_calls_max=25, external_id_field="Headwater_Id__c"),
    "pipedrive": AccountOptions(
        calls_max=80, calls_window_ms=2_000, search_calls_max=5, calls_daily_max=30_000 * 5
    ),
    "dynamics": AccountOptions(
        calls_max=6_000,
        calls_window_ms=300_000,
        long_calls_max=52,
        long_call_ms=1,
        execution_ms_max=1_200_000,
        external_id_field="hw_headwaterid",
    ),
    "enrichment": AccountOptions(calls_max=20, calls_window_ms=1_000),
}


class Account:
    """One portal or org: its state in the store and what the process remembers of it."""

    def __init__(self, database: Database, key: int, vendor: VendorName, name: str, seed: int) -> None:
        self.key = key
        self.vendor = vendor
        self.name = name
        self.options = DEFAULT_OPTIONS[vendor]
        self.records = RecordBook(database, key)
        self.arrivals = ArrivalLog(database, key)
        self.faults = FaultBook(database, key, seed)
        self.limits = LimitState(SlidingWindow(self.options.calls_window_ms))
        self.custom: dict[str, dict[str, Any]] = {}
        self.database = database

    def load(self, options: str, now_ms: int) -> None:
        """Take up options, custom properties and limit windows from the store."""
        self.options = AccountOptions.model_validate_json(options)
        self.custom = {}
        for kind, name, definition in self.database.all("list_properties", self.key):
            self.custom.setdefault(kind, {})[name] = msgspec.json.decode(definition)
        self.reload_limits(now_ms)

    def reload_limits(self, now_ms: int) -> None:
        """Build the limit windows again from the call log."""
        in_flight = self.limits.in_flight
        self.limits = LimitState(SlidingWindow(self.options.calls_window_ms), in_flight=in_flight)
        recent = self.database.all("recent_calls", self.key, now_ms - self.options.calls_window_ms)
        today = self.database.one("count_calls_since", self.key, now_ms - now_ms % DAY_MS)
        self.limits.restore([(row[0], row[1]) for row in recent], int(today[0]) if today else 0, now_ms)

    def set_options(self, options: AccountOptions, now_ms: int) -> None:
        """Change the options from the next call on."""
        self.database.run("save_options", options.model_dump_json(), self.key)
        self.options = options
        self.reload_limits(now_ms)

    def take_call(self) -> int:
        """The next call number of the account."""
        row = self.database.one("take_call", self.key)
        if row is None:
            raise LookupError(self.name)
        return int(row[0])

    def log_call(self, call: Call, meter: Meter, verdict: Verdict, fault: str, cost: int) -> None:
        """Keep one line of a call, and what it took of the day."""
        line = (call.number, call.now_ms, call.method, call.path, meter, verdict, fault, cost)
        self.database.run("insert_call", self.key, *line)

    def call_report(self) -> dict[str, Any]:
        """Calls by verdict and fault, per second, and the most admitted in any limit window."""
        totals = self.database.all("count_calls", self.key)
        by_second = self.database.all("calls_by_second", self.key)
        times = self.database.all("recent_calls", self.key, 0)
        bulk = self.database.one("count_bulk_calls", self.key)
        general = most_in_window(
            (row[0] for row in times if row[1] == "general"), self.options.calls_window_ms
        )
        search = most_in_window((row[0] for row in times if row[1] == "search"), SEARCH_WINDOW_MS)
        return {
            "calls": sum(row[2] for row in totals),
            "admitted": sum(row[2] for row in totals if row[0] == "admitted"),
            "limited": sum(row[2] for row in totals if row[0] == "limited"),
            "unauthorized": sum(row[2] for row in totals if row[0] == "unauthorized"),
            "tokens": sum(row[2] for row in totals if row[0] == "token"),
            "bulk": int(bulk[0]) if bulk else 0,
            "faults": {row[1]: row[2] for row in totals if row[1]},
            "most_in_window": {"general": general, "search": search},
            "window_ms": {"general": self.options.calls_window_ms, "search": SEARCH_WINDOW_MS},
            "by_second": [
                dict(zip(("second", "meter", "verdict", "calls"), row, strict=True)) for row in by_second
            ],
        }

    def give_token(self, token: str, expire_ms: int) -> None:
        """Let this access token in until it expires."""
        self.database.run("insert_token", token, self.key, expire_ms)

    def token_expire_ms(self, token: str) -> int | None:
        """When the token expires or expired; None when it was never given."""
        row = self.database.one("find_token", token, self.key)
        return None if row is None else int(row[0])

    def expire_tokens(self, now_ms: int) -> None:
        """Let no token of today in any more."""
        self.database.run("expire_tokens", now_ms, self.key, now_ms)

    def add_property(self, kind: str, name: str, definition: dict[str, Any]) -> None:
        """Keep a custom property definition."""
        self.database.run("insert_property", self.key, kind, name, msgspec.json.encode(definition).decode())
        self.custom.setdefault(kind, {})[name] = definition

    def clear(self, now_ms: int) -> None:
        """Forget everything but the options: as if the account had never been called."""
        for table in _CLEARED:
            self.database.run(f"clear_{table}", self.key)
        self.records.restart()
        self.faults.arm(FaultPlan())
        self.custom = {}
        self.reload_limits(now_ms)
