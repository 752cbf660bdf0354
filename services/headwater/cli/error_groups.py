"""Groups of errors and previews as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.table import Table

from headwater.cli.output import facts, table
from headwater.cli.plain import moment
from headwater.cli.wording import delivery_state, error_group_state
from headwater.sync.v1 import sync_pb2

SOMETHING: Final = "a value"
NOTHING: Final = "nothing"


def groups_table(groups: Iterable[sync_pb2.ErrorGroup]) -> Table:
    """Return groups, one a row."""
    rows = [
        (
            item.group_id,
            item.connector,
            item.endpoint,
            f"{item.error_class} {item.error_code}".strip(),
            item.message,
            error_group_state(item.state),
            item.delivery_count,
            item.dead_count,
            item.failure_count,
            moment(item.first_seen_time),
            moment(item.last_seen_time),
            item.owner,
            item.runbook,
        )
        for item in groups
    ]
    names = (
        "group",
        "connector",
        "endpoint",
        "code",
        "message",
        "state",
        "deliveries",
        "dead",
        "failures",
        "first seen",
        "last seen",
        "owner",
        "runbook",
    )
    return table(names, rows)


def group_facts(group: sync_pb2.ErrorGroup) -> Table:
    """Return all of one group, a fact a line."""
    return facts(
        {
            "group": group.group_id,
            "state": error_group_state(group.state),
            "connector": group.connector,
            "endpoint": group.endpoint,
            "class": group.error_class,
            "code": group.error_code,
            "message": group.message,
            "newest words": group.last_message,
            "first seen": moment(group.first_seen_time),
            "last seen": moment(group.last_seen_time),
            "failed tries": group.failure_count,
            "deliveries": group.delivery_count,
            "dead": group.dead_count,
            "samples": "\n".join(group.sample_entity_ids),
            "owner": group.owner,
            "backup": group.backup,
            "runbook": group.runbook,
            "what to do": f"headwater runbook {group.error_class}" if group.error_class else "",
        }
    )


def previews_table(previews: Iterable[sync_pb2.DeliveryPreview]) -> Table:
    """Return what deliveries would do, one a row."""
    rows = [
        (
            item.delivery.entity_id,
            item.delivery.connector,
            delivery_state(item.delivery.state),
            ("look up, then " if item.looks_up_first else "") + item.action,
            item.crm_object,
            item.delivery.crm_id,
            len(item.changes),
            item.rule,
            item.delivery.last_error,
        )
        for item in previews
    ]
    return table(
        ("entity", "connector", "state", "would", "object", "CRM id", "fields", "rule", "last error"), rows
    )


def changes_table(previews: Iterable[sync_pb2.DeliveryPreview], *, values: bool) -> Table:
    """Return the fields that would be written, one a row; without *values* only whether there is one."""
    told = str if values else _there
    rows = [
        (item.delivery.entity_id, change.field, told(change.before_json), told(change.after_json))
        for item in previews
        for change in item.changes
    ]
    return table(("entity", "field", "the CRM holds", "would be written"), rows)


def without_values(previews: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return previews, as plain values, that name the fields and tell none of their values."""
    told = ("before_json", "after_json")
    return [
        item
        | {
            "changes": [
                {key: value for key, value in one.items() if key not in told} for one in item["changes"]
            ]
        }
        for item in previews
    ]


def _there(text: str) -> str:
    return NOTHING if text in {"", "null", '""'} else SOMETHING
