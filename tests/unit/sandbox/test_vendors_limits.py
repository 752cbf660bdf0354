"""What Pipedrive and Dynamics allow, as the sandbox keeps it; and state that an older release left."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.unit.sandbox.bench import START_MS, Bench

from headwater.sandbox.accounts import AccountOptions
from headwater.sandbox.call import Call
from headwater.sandbox.limits import LimitState, SlidingWindow
from headwater.sandbox.pipedrive.vendor import Pipedrive
from headwater.sandbox.store.database import Database


@pytest.mark.parametrize(
    ("method", "path", "tokens"),
    [
        ("POST", "/api/v2/persons", 5),
        ("PATCH", "/api/v2/deals/1", 5),
        ("DELETE", "/api/v2/organizations/1", 3),
        ("GET", "/api/v2/persons/1", 1),
        ("GET", "/api/v2/persons", 10),
        ("GET", "/api/v2/itemSearch/field", 20),
        ("GET", "/api/v2/personFields", 10),
        ("GET", "/api/v1/recents", 20),
        ("POST", "/oauth/token", 0),
    ],
)
def test_pipedrive_calls_cost_what_its_contract_says(method: str, path: str, tokens: int) -> None:
    """`x-token-cost` of each endpoint."""
    call = Call("pipedrive", "unit", 0, "r", method, path, (), {}, b"", "", START_MS)
    assert Pipedrive().cost(call) == tokens


def test_a_day_in_tokens_is_spent_by_cost() -> None:
    """Twenty tokens allow two lists, whatever the number of calls; a call that fits is let in whole."""
    limits, options = LimitState(SlidingWindow(2_000)), AccountOptions(calls_daily_max=20)
    assert limits.admit("general", START_MS, options, 10) is None
    assert limits.admit("general", START_MS, options, 10) is None
    refused = limits.admit("general", START_MS, options, 1)
    assert refused is not None
    assert (refused.policy, limits.day_used(START_MS)) == ("daily", 20)


def test_execution_time_is_a_limit_of_its_own() -> None:
    """Calls that took long close the door until they are older than the window."""
    limits, options = LimitState(SlidingWindow(300_000)), AccountOptions(execution_ms_max=1_000)
    limits.took(START_MS, 1_000)
    refused = limits.admit("general", START_MS + 100_000, options)
    assert refused is not None
    assert (refused.policy, refused.retry_after_s) == ("execution", 200)
    assert limits.admit("general", START_MS + 300_000, options) is None


def test_pipedrive_makes_a_second_record_of_the_same_external_id() -> None:
    """It keeps no value unique: that is why a create needs a look-up."""
    bench = Bench("pipedrive")
    made = bench.call("POST", "/api/v2/personFields", {"field_name": "headwater_id", "field_type": "varchar"})
    key = made.content["data"]["field_code"]
    for _ in range(2):
        bench.call("POST", "/api/v2/persons", {"name": "Ann", "custom_fields": {key: "e-1"}})
    assert bench.account.records.count("persons") == 2


def test_state_of_a_release_that_knew_fewer_vendors_is_taken_over(tmp_path: Path) -> None:
    """Accounts and calls stay; a new vendor's account can be opened."""
    file = tmp_path / "sandbox.db"
    before = sqlite3.connect(file)
    before.executescript(
        "CREATE TABLE account (account_key INTEGER PRIMARY KEY, vendor TEXT NOT NULL CHECK (vendor IN ('hubspot')),"
        " name TEXT NOT NULL, options TEXT NOT NULL, next_number INTEGER NOT NULL DEFAULT 1,"
        " next_call INTEGER NOT NULL DEFAULT 1, UNIQUE (vendor, name));"
        "CREATE TABLE call (account_key INTEGER NOT NULL, number INTEGER NOT NULL, arrival_ms INTEGER NOT NULL,"
        " method TEXT NOT NULL, path TEXT NOT NULL, meter TEXT NOT NULL, verdict TEXT NOT NULL,"
        " fault TEXT NOT NULL DEFAULT '', PRIMARY KEY (account_key, number)) WITHOUT ROWID;"
        "INSERT INTO account (vendor, name, options) VALUES ('hubspot', 'kept', '{}');"
        "INSERT INTO call VALUES (1, 1, 5, 'GET', '/', 'general', 'admitted', '');"
    )
    before.close()
    for number in range(2):  # opening again changes nothing
        database = Database(file)
        assert next((row[0], row[1]) for row in database.all("list_accounts")) == ("hubspot", "kept")
        assert database.one("count_calls_since", 1, 0) == (1,)
        database.run("create_account", "pipedrive", f"new-{number}", "{}")
        database.close()
