"""What `make lint` sees in `.sql` files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.checks.sql import end_statements, faults

ROOT = next(folder for folder in Path(__file__).parents if (folder / ".sqlfluff").is_file())


@pytest.fixture
def sql_file(tmp_path: Path) -> Path:
    """A file to fill, under the repository's SQL rules."""
    shutil.copy(ROOT / ".sqlfluff", tmp_path)
    return tmp_path / "queries.sql"


def test_each_named_statement_is_ended_once() -> None:
    """Blocks are ended where they lack it; comments and line numbers stay."""
    source = "-- name: a\n-- One.\nSELECT 1\n\n-- name: b\n-- Two.\nSELECT 2;\n"
    assert end_statements(source) == "-- name: a\n-- One.\nSELECT 1;\n\n-- name: b\n-- Two.\nSELECT 2;\n"


def test_statements_without_semicolons_between_them_are_sound(sql_file: Path) -> None:
    """The house format of query files, placeholders of the driver included, passes."""
    sql_file.write_text(
        "-- name: a\n-- One.\nSELECT $1::text\n\n-- name: b\n-- Two.\nSELECT 2\n", encoding="utf-8"
    )
    assert faults(sql_file) == []


def test_a_statement_that_does_not_parse_is_a_fault(sql_file: Path) -> None:
    """The fault names file, line and rule."""
    sql_file.write_text("-- name: a\n-- One.\nSELEC 1 FROM\n", encoding="utf-8")
    assert [fault.removeprefix(f"{sql_file}:")[:8] for fault in faults(sql_file)] == ["3:1: PRS"]


def test_a_limit_without_order_is_a_fault(sql_file: Path) -> None:
    """Which rows come back must not be left to chance: a replay has to give the same state."""
    sql_file.write_text("-- name: a\n-- One.\nSELECT x FROM t LIMIT 5\n", encoding="utf-8")
    assert any("AM09" in fault for fault in faults(sql_file))
