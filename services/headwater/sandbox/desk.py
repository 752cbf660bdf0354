"""Owns the desk: what a vendor's handler may touch while it works on one call. Journals every write it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.sandbox.arrivals import Arrival
from headwater.sandbox.store.records import changes

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from headwater.sandbox.accounts import Account
    from headwater.sandbox.arrivals import Effect
    from headwater.sandbox.call import Call
    from headwater.sandbox.store.records import Fields, Record


@dataclass(frozen=True, slots=True)
class Desk:
    """One account, one call, one transaction."""

    account: Account
    call: Call
    operation: str
    token_ttl_s: int
    new_id: Callable[[], str]
    shuffle: Callable[[str], random.Random]
    """A seeded chance for a subject, the same for the same subject."""

    def insert(self, kind: str, record_id: str, fields: Fields, lookups: Iterable[str]) -> Record:
        """Keep a new record and journal it as created."""
        record = self.account.records.insert(kind, record_id, fields, self.call.now_ms, lookups)
        self._journal(record, "created", changes(None, fields))
        return record

    def update(
        self, old: Record, fields: Fields, lookups: Iterable[str], *, stamps: Fields | None = None
    ) -> Record:
        """Replace the fields of a record and journal it; without a difference nothing is written.

        Args:
            old: the record as it is.
            fields: the fields as they shall be.
            lookups: the fields by which records of the object can be found.
            stamps: fields that change only if others do (modification times).
        """
        if old.fields == fields:
            self._journal(old, "unchanged")
            return old
        record = self.account.records.update(old, {**fields, **(stamps or {})}, self.call.now_ms, lookups)
        self._journal(record, "updated", changes(old.fields, fields))
        return record

    def archive(self, old: Record, lookups: Iterable[str], *, stamps: Fields | None = None) -> None:
        """Put a record away, with the modification times that its vendor gives it, and journal it as deleted."""
        if stamps:
            old = self.account.records.update(old, {**old.fields, **stamps}, self.call.now_ms, lookups)
        self.account.records.archive(old, self.call.now_ms, lookups)
        self._journal(old, "deleted")

    def restore(self, old: Record, fields: Fields, lookups: Iterable[str]) -> Record:
        """Take a record out of the bin and journal it as created: it is there again."""
        record = self.account.records.restore(old, fields, self.call.now_ms, lookups)
        self._journal(record, "created", changes(None, fields))
        return record

    def refuse(
        self, kind: str, reason: str, *, fields: Fields | None = None, record_id: str | None = None
    ) -> None:
        """Journal a write that the vendor refuses."""
        external = (fields or {}).get(self.account.options.external_id_field)
        shown = None if external is None else str(external)
        arrival = Arrival(kind, self.operation, "refused", record_id, shown, reason=reason)
        self.account.arrivals.append(self.call, arrival)

    def _journal(self, record: Record, effect: Effect, delta: dict[str, list[Any]] | None = None) -> None:
        external: Any = record.fields.get(self.account.options.external_id_field)
        shown = None if external is None else str(external)
        arrival = Arrival(record.object, self.operation, effect, record.record_id, shown, delta)
        self.account.arrivals.append(self.call, arrival)
