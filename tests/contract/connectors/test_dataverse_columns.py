"""Dataverse's columns in Microsoft's Common Data Model: what we map, and what our sandbox plays, is what there is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from tests.contract.connectors.recordings import specs

from headwater.cli.policy_files import starter_text
from headwater.sandbox.dynamics.tables import Table, references_of, tables

KINDS = {
    "boolean": "Boolean",
    "currency": "Money",
    "dateTime": "DateTime",
    "decimal": "Decimal",
    "integer": "Integer",
    "listLookup": "Picklist",
    "string": "String",
    "email": "String",
    "phone": "String",
}
"""The model's data types, those that say by themselves what Dataverse keeps them as."""


@cache
def modelled(table: str) -> dict[str, dict[str, Any]]:
    """Return the attributes of a table by their column."""
    text = (specs() / "dataverse" / f"{table.capitalize()}.cdm.json").read_text(encoding="utf-8")
    return {
        item["sourceName"]: item for item in _attributes(json.loads(text)["definitions"][0]["hasAttributes"])
    }


def _attributes(members: list[Any]) -> Iterator[dict[str, Any]]:
    for item in members:
        if isinstance(item, dict) and "attributeGroupReference" in item:
            yield from _attributes(item["attributeGroupReference"].get("members", []))
        elif isinstance(item, dict) and item.get("sourceName"):
            yield item


def _kind(item: dict[str, Any]) -> str:
    kind = item.get("dataType", "")
    return KINDS.get(str(kind["dataTypeReference"] if isinstance(kind, dict) else kind), "")


@pytest.mark.evidence("dynamics", "prepare", "vendor contract")
@pytest.mark.parametrize("table", tables().values(), ids=lambda table: str(table.name))
def test_the_sandbox_plays_the_columns_of_the_model(table: Table) -> None:
    """No shipped column is invented, and where the model states type and length they are the same."""
    model = modelled(table.name)
    own = {
        table.primary_id,
        "createdon",
        "modifiedon",
        "subject",
        "scheduledend",
    }  # of every table, of every activity
    assert set(table.columns) - set(model) <= own
    for name, column in table.columns.items():
        item = model.get(name, {})
        assert _kind(item) in {"", column.kind}, name
        assert item.get("maximumLength", column.chars_max) == column.chars_max, name


@pytest.mark.evidence("dynamics", "prepare", "vendor contract")
def test_the_starter_policy_maps_columns_that_there_are() -> None:
    """Every column of its Dynamics mappings is one of the model's."""
    block = starter_text().partition("  # dynamics:\n  #   vendor")[2].partition("\n\n")[0]
    mapped = [line.strip("# ").partition(":")[0] for line in block.splitlines() if ": {field: " in line]
    names = {name for name in mapped if name != "fields"} | {"name", "websiteurl"}
    assert {"emailaddress1", "lastname", "telephone1"} <= names
    assert names <= set(modelled("contact")) | set(modelled("account"))


def test_references_lead_to_tables_that_there_are() -> None:
    """Navigation properties end with a table, or are ids of one."""
    for table in tables().values():
        assert set(references_of(table).values()) <= set(tables())
