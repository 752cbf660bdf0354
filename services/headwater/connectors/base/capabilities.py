"""What a connector can do, declared in one place: the conformance suite runs what is declared, the list shows it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

LIMIT_KINDS: Final = ("window", "daily", "concurrency", "retry_after")
"""What a vendor may tell of its limits."""

_HOW: Final = frozenset({"ordered_answers", "over_http", "validates"})
"""Flags that say how a connector works, not what it can do."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Everything that differs between connectors; a flag stands for what its name says, nothing else.

    Args:
        objects: the vendor's own names of what can be written; ("*",) for whatever the target names.
        batch_records_max: largest batch of one upsert.
        upsert: a write keyed by the external id finds the record of the write before.
        look_up: records can be found by external id. Without it every doubt is answered by sending again, so a
            repeat must be safe.
        references: links between records.
        conflicts: the vendor refuses a second record of the same unique value and names the first.
        validates: the vendor refuses single records whose data is wrong; without it everything is taken.
        ordered_answers: the vendor promises its answers in the order of the request; else they are matched by id.
        merge: two records can be merged and a merge be followed.
        delete: deletions by others are noticed, and a write to a deleted record says NOT_FOUND.
        remove: records can be put into the vendor's bin.
        bulk: many records go as one job.
        search: records can be asked for by other fields than the external id.
        polling: changes can be fetched.
        streaming: changes are told over a stream that we open.
        sweeping: records can be read whole and counted, by ranges of ids.
        webhooks: changes are pushed by the vendor and verified.
        schema_discovery: objects and fields are read from the vendor before anything is written.
        conditions: automations and required fields can be asked for before a bulk change.
        tokens: access tokens are fetched and renewed.
        limits: what the vendor tells of its limits: `window`, `daily`, `concurrency`, `retry_after`.
        over_http: calls go over HTTP, so that the suite can break the wire.
    """

    objects: tuple[str, ...]
    batch_records_max: int
    upsert: bool = True
    look_up: bool = True
    references: bool = False
    conflicts: bool = False
    validates: bool = True
    ordered_answers: bool = False
    merge: bool = False
    delete: bool = False
    remove: bool = False
    bulk: bool = False
    search: bool = False
    polling: bool = False
    streaming: bool = False
    sweeping: bool = False
    webhooks: bool = False
    schema_discovery: bool = False
    conditions: bool = False
    tokens: bool = False
    limits: tuple[str, ...] = ()
    over_http: bool = True

    def __post_init__(self) -> None:
        if not self.objects or self.batch_records_max < 1:
            raise ValueError("a connector writes at least one object, at least one record a batch")
        if unknown := set(self.limits) - set(LIMIT_KINDS):
            raise ValueError(
                f"limits must be among {', '.join(LIMIT_KINDS)}, not {', '.join(sorted(unknown))}"
            )

    def has(self, name: str) -> bool:
        """Return whether a capability is declared.

        Raises:
            ValueError: there is none of that name.
        """
        if name not in {item.name for item in fields(self)}:
            raise ValueError(f"no capability is called {name!r}")
        return bool(getattr(self, name))

    def named(self) -> tuple[str, ...]:
        """Return the names of the declared abilities, for people, in the order of the declaration."""
        able = (item.name for item in fields(self) if getattr(self, item.name) is True)
        return tuple(name.replace("_", " ") for name in able if name not in _HOW)
