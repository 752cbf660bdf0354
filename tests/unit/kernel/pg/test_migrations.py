"""Numbering and planning of migrations."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.kernel.pg.errors import MigrationFaulty, SchemaAhead, SchemaDiffers
from headwater.kernel.pg.migrations import AppliedMigration, Migration, arrange, plan, read_migrations


def _wanted(count: int) -> tuple[Migration, ...]:
    return arrange("ingest", [(f"{n:04}_step.sql", f"SELECT {n}".encode()) for n in range(1, count + 1)])


def _applied(migrations: tuple[Migration, ...]) -> tuple[AppliedMigration, ...]:
    return tuple(AppliedMigration(m.version, m.name, m.sha256) for m in migrations)


def test_files_come_out_in_order_with_their_checksums() -> None:
    """Order is by number, whatever the folder's order."""
    found = arrange("ingest", [("0002_b.sql", b"SELECT 2"), ("0001_a.sql", b"SELECT 1")])
    assert found == (
        Migration(1, "a", hashlib.sha256(b"SELECT 1").hexdigest(), "SELECT 1"),
        Migration(2, "b", hashlib.sha256(b"SELECT 2").hexdigest(), "SELECT 2"),
    )


def test_checksum_does_not_depend_on_line_endings() -> None:
    """A checkout with CRLF has the same migrations."""
    (unix,) = arrange("ingest", [("0001_a.sql", b"SELECT\n1\n")])
    (windows,) = arrange("ingest", [("0001_a.sql", b"SELECT\r\n1\r\n")])
    assert unix == windows


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_a.sql", "0003_c.sql"], "number 0003 .* where 0002 is due"),
        (["0002_b.sql"], "where 0001 is due"),
        (["0001_a.sql", "0001_b.sql"], "number 0001 .* where 0002 is due"),
        (["1_a.sql"], "is called 0001"),
        (["0001-a.sql"], "is called 0001"),
        (["0000_a.sql"], "where 0001 is due"),
    ],
)
def test_files_are_refused_when_numbers_are_wrong(names: list[str], complaint: str) -> None:
    """A gap, a duplicate or a bad name stops everything before any SQL runs."""
    with pytest.raises(MigrationFaulty, match=complaint):
        arrange("ingest", [(name, b"SELECT 1") for name in names])


@given(count=st.integers(0, 30), done=st.integers(0, 30))
def test_plan_is_the_rest_when_the_applied_are_a_beginning(count: int, done: int) -> None:
    """Applied and planned steps together are always exactly this release's."""
    wanted = _wanted(count)
    if done > count:
        with pytest.raises(SchemaAhead):
            plan("ingest", wanted, _applied(_wanted(done)))
    else:
        assert wanted[:done] + plan("ingest", wanted, _applied(wanted[:done])) == wanted


@given(count=st.integers(1, 10), data=st.data())
def test_plan_refuses_any_changed_step(count: int, data: st.DataObject) -> None:
    """Whichever applied step differs, it is named."""
    wanted = _wanted(count)
    version = data.draw(st.integers(1, count))
    applied = list(_applied(wanted))
    applied[version - 1] = AppliedMigration(version, "step", "0" * 64)
    with pytest.raises(SchemaDiffers) as caught:
        plan("ingest", wanted, applied)
    assert caught.value.version == version


def test_package_without_migrations_has_none() -> None:
    """A service that stores nothing has no folder."""
    assert read_migrations("kernel", "headwater.kernel") == ()
