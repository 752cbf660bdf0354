"""The store and the settings."""

from __future__ import annotations

import sqlite3

import pytest
from pydantic import ValidationError
from tests.unit.sandbox.bench import Bench

from headwater.sandbox.settings import SandboxSettings
from headwater.sandbox.store.database import Database, statements
from headwater.sandbox.store.records import RecordBook


@pytest.mark.parametrize("name", sorted(statements()))
def test_every_statement_is_valid_against_the_schema(name: str) -> None:
    """SQLite can plan each named statement on the schema that ships."""
    database = Database(None)
    text = statements()[name]
    database._connection.execute(f"EXPLAIN {text}", [None] * text.count("?"))  # noqa: SLF001 - planning only


def test_arrival_log_cannot_be_changed() -> None:
    """A line once written stays as it is."""
    bench = Bench("hubspot")
    bench.call("POST", "/crm/v3/objects/contacts", {"properties": {"email": "a@example.com"}})
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        bench.database._connection.execute("UPDATE arrival SET effect = 'deleted'")  # noqa: SLF001 - the attack


def test_inner_transaction_is_undone_alone() -> None:
    """What an inner block wrote is undone with it; the outer block keeps its own."""
    database = Database(None)
    with database.transaction():
        database.run("create_account", "hubspot", "outer", "{}")
        with pytest.raises(ZeroDivisionError):
            _write_and_fail(database)
    assert [row[1] for row in database.all("list_accounts")] == ["outer"]


def test_what_is_put_off_is_written_at_the_commit_and_undone_with_its_part() -> None:
    """Statements for the end of a transaction belong to the block that asked for them."""
    database = Database(None)
    with database.transaction():
        database.put_off("create_account", "hubspot", "outer", "{}")
        with pytest.raises(ZeroDivisionError):
            _put_off_and_fail(database)
        assert not database.all("list_accounts")
    assert [row[1] for row in database.all("list_accounts")] == ["outer"]
    database.put_off("create_account", "hubspot", "at once", "{}")
    assert len(database.all("list_accounts")) == 2


def test_a_number_is_not_given_again_when_its_record_is_undone() -> None:
    """Records that are kept never share a number, in this process or the next."""
    bench = Bench("hubspot")
    records = bench.fleet.open("hubspot", "numbers").records
    with bench.database.transaction():
        first = records.take_number()
        with pytest.raises(ZeroDivisionError):
            _take_and_fail(bench.database, records)
        kept = records.take_number()
    assert kept > first
    account = bench.fleet.open("hubspot", "numbers")
    assert RecordBook(bench.database, account.key).take_number() > kept


def _put_off_and_fail(database: Database) -> None:
    with database.transaction():
        database.put_off("create_account", "hubspot", "inner", "{}")
        raise ZeroDivisionError


def _take_and_fail(database: Database, records: RecordBook) -> None:
    with database.transaction():
        records.take_number()
        raise ZeroDivisionError


def _write_and_fail(database: Database) -> None:
    with database.transaction():
        database.run("create_account", "hubspot", "inner", "{}")
        raise ZeroDivisionError


def test_seed_is_the_same_for_every_account() -> None:
    """New accounts begin with the shipped records, each alike."""
    bench = Bench("salesforce")
    dumps = [
        [
            (one.record_id, one.fields["Name"])
            for one in bench.fleet.open("salesforce", name).records.scan("Contact")
        ]
        for name in ("one", "two")
    ]
    assert dumps[0] == dumps[1]
    assert len(dumps[0]) == 4


@pytest.mark.parametrize("host", ["0.0.0.0", "example.com", "10.0.0.1"])  # noqa: S104 - refused
def test_only_loopback_may_be_listened_on(host: str) -> None:
    """Any other address is a faulty setting."""
    with pytest.raises(ValidationError, match="host"):
        SandboxSettings(host=host)
