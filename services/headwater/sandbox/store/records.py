"""Owns the records of one account and the values by which they are found. Knows no vendor rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from headwater.sandbox.store.database import Database, Row

Fields = dict[str, Any]
_decode = msgspec.json.Decoder(Fields).decode
_encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct, frozen=True):
    """One row of a CRM object as it is kept."""

    object: str
    record_id: str
    fields: Fields
    created_ms: int
    updated_ms: int
    archived: bool


def fold(value: object) -> str:
    """The form in which values are compared: text, without case."""
    return str(value).casefold()


class RecordBook:
    """The records of one account; every write belongs to the caller's transaction."""

    def __init__(self, database: Database, account_key: int) -> None:
        self._database = database
        self._key = account_key
        self._next_number = 0

    def take_number(self) -> int:
        """The next number of the account, never given twice; one whose record was not kept in the end is lost."""
        if not self._next_number:
            row = self._database.one("next_number", self._key)
            if row is None:
                raise LookupError(self._key)
            self._next_number = int(row[0])
        taken = self._next_number
        self._next_number += 1
        self._database.put_off("save_number", self._next_number, self._key)
        return taken

    def restart(self) -> None:
        """Begin the numbers anew."""
        self._database.run("restart_numbers", self._key)
        self._next_number = 0

    def find(self, kind: str, record_id: str) -> Record | None:
        """The record with this id, archived or not."""
        row = self._database.one("find_record", self._key, kind, record_id)
        return None if row is None else _record(kind, row)

    def live(self, kind: str, record_id: str) -> Record | None:
        """The record with this id unless it is archived."""
        record = self.find(kind, record_id)
        return None if record is None or record.archived else record

    def ids_with(self, kind: str, field: str, value: object) -> list[str]:
        """Ids of live records whose look-up field has this value, compared without case."""
        return [row[0] for row in self._database.all("find_lookup", self._key, kind, field, fold(value))]

    def scan(self, kind: str, *, archived: bool = False) -> list[Record]:
        """Every record in order of creation; archived ones only on demand."""
        return [
            _record(kind, row) for row in self._database.all("scan_records", self._key, kind, int(archived))
        ]

    def between(self, kind: str, after: str, upto: str, *, archived: bool = False) -> list[Record]:
        """Every record whose id, by its length and then its characters, lies behind `after` and not behind `upto`.

        Empty ones bound nothing. In order of creation; archived ones only on demand.
        """
        if not after and not upto:
            return self.scan(kind, archived=archived)
        place = (len(after), len(after), after, upto, len(upto), len(upto), upto)
        rows = self._database.all("range_records", self._key, kind, int(archived), *place)
        return [_record(kind, row) for row in rows]

    def changed(self, kind: str, since_s: int, until_s: int, *, archived: bool = False) -> Iterator[Record]:
        """Records that changed last in these seconds since the epoch, both among them, in the order (second, id).

        Archived ones only on demand. Lazily: whoever stops early pays for no more; nothing may be written meanwhile.
        """
        rows = self._database.each("changed_records", self._key, kind, since_s, until_s, int(archived))
        return (_record(kind, row) for row in rows)

    def page(self, kind: str, after: str, limit: int, *, archived: bool = False) -> list[Record]:
        """Up to `limit` records created after the record `after` ("" for the first page)."""
        key = self._key
        rows = self._database.all("page_records", key, kind, int(archived), key, kind, after, limit)
        return [_record(kind, row) for row in rows]

    def count(self, kind: str) -> int:
        """How many live records there are."""
        row = self._database.one("count_records", self._key, kind)
        return 0 if row is None else int(row[0])

    def insert(
        self, kind: str, record_id: str, fields: Fields, now_ms: int, lookups: Iterable[str]
    ) -> Record:
        """Keep a new record, found by the named look-up fields from now on."""
        self._database.run("insert_record", self._key, kind, record_id, _encode(fields), now_ms, now_ms)
        for field in lookups:
            self._relate(kind, record_id, field, None, fields.get(field))
        return Record(kind, record_id, fields, now_ms, now_ms, archived=False)

    def update(self, old: Record, fields: Fields, now_ms: int, lookups: Iterable[str]) -> Record:
        """Replace the fields of a record, moving its look-up values along."""
        kind, record_id = old.object, old.record_id
        self._database.run("update_record", _encode(fields), now_ms, self._key, kind, record_id)
        for field in lookups:
            self._relate(kind, record_id, field, old.fields.get(field), fields.get(field))
        return Record(kind, record_id, fields, old.created_ms, now_ms, archived=False)

    def archive(self, old: Record, now_ms: int, lookups: Iterable[str]) -> None:
        """Put a record away and free its look-up values."""
        self._database.run("archive_record", now_ms, self._key, old.object, old.record_id)
        for field in lookups:
            self._relate(old.object, old.record_id, field, old.fields.get(field), None)

    def erase(self, old: Record) -> None:
        """Drop a record that was put away, and every value by which it could be found."""
        self._database.run("erase_lookups", self._key, old.object, old.record_id)
        self._database.run("erase_record", self._key, old.object, old.record_id)

    def restore(self, old: Record, fields: Fields, now_ms: int, lookups: Iterable[str]) -> Record:
        """Take a record that was put away back, with these fields; it can be found by them again."""
        kind, record_id = old.object, old.record_id
        self._database.run("restore_record", _encode(fields), now_ms, self._key, kind, record_id)
        for field in lookups:
            self._relate(kind, record_id, field, None, fields.get(field))
        return Record(kind, record_id, fields, old.created_ms, now_ms, archived=False)

    def _relate(self, kind: str, record_id: str, field: str, before: object, after: object) -> None:
        if before == after:
            return
        if before not in {None, ""}:
            self._database.run("delete_lookup", self._key, kind, field, fold(before), record_id)
        if after not in {None, ""}:
            self._database.run("insert_lookup", self._key, kind, field, fold(after), record_id)


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Field -> [before, after] for every field that differs."""
    if before is None:
        return {name: [None, value] for name, value in after.items() if value is not None}
    old = before
    return {
        name: [old.get(name), after.get(name)]
        for name in {**old, **after}
        if old.get(name) != after.get(name)
    }


def _record(kind: str, row: Row) -> Record:
    return Record(kind, row[0], _decode(row[1]), row[2], row[3], bool(row[4]))
