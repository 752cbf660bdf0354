"""The README tells what is there: its settings table, its targets, its links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.checks.configuration import MODELS, table

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_settings_table_is_the_one_that_the_models_give() -> None:
    """`python -m tests.checks.configuration` prints what must stand there."""
    assert table() in README


@pytest.mark.parametrize("reader", MODELS)
def test_every_setting_is_explained(reader: str) -> None:
    """No row of the table has an empty last column."""
    rows = [row for row in table().splitlines() if f"| {reader} |" in row]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]


def test_every_make_target_it_names_exists() -> None:
    """Targets are named as `make TARGET`."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"(?m)(?:^|`)make ([a-z-]+)", README))
    assert named
    assert not [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)]


def test_every_path_it_names_exists() -> None:
    """Paths in backticks that begin with a top-level folder."""
    named = re.findall(r"`((?:services|proto|tests|deploy)/[\w./-]+)`", README)
    assert named
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_top_level_holds_only_what_was_agreed() -> None:
    """Code lives in rooms, not beside them."""
    agreed = {"pyproject.toml", "README.md", "proto", "services", "tests", "deploy", "Makefile"}
    agreed |= {"requirements.lock", "LICENSE", "CHANGELOG.md", "dist", "build"}
    found = {entry.name for entry in ROOT.iterdir() if not entry.name.startswith(".")}
    assert found <= agreed
