"""From a source's rows to what later stages read: parts for the workers, one line a record for the database.

Owns the lines. Runs in workers; the rules are the domain's, one record at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headwater.identity.bulk.lines import Line, line_of
from headwater.identity.bulk.people import People
from headwater.identity.bulk.ports import Records
from headwater.identity.bulk.storing import stored_form, write_parts, write_whole
from headwater.identity.domain.normalising import normalise, weak_of
from headwater.identity.domain.scoring.parts import Told
from headwater.identity.domain.scoring.taking_apart import parts_of


@dataclass(frozen=True, slots=True)
class Preparing:
    """How records are prepared: pickled into every worker.

    Args:
        region: two letters; where numbers and dates are read when a record does not tell.
        scratch: directory of the files of each chunk.
    """

    records: Records
    object: str
    region: str | None
    scratch: Path
    chunk_records: int

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.records.count // self.chunk_records)

    def lines_path(self, chunk: int) -> Path:
        """Where the lines of a chunk stand; the file is there when the chunk is complete."""
        return self.scratch / f"lines-{chunk:05}.jsonl"

    def begin(self) -> Callable[[str, int], int]:
        """Return what prepares a chunk; its key says nothing."""
        return lambda _, chunk: self.run(chunk)

    def run(self, chunk: int) -> int:
        """Prepare a chunk; return how many records it has."""
        first = chunk * self.chunk_records
        rows = self.records.read(first, first + self.chunk_records)
        lines: list[bytes] = []
        stored: list[bytes] = []
        for number, name, record, line in self._taken_apart(rows):
            stored.append(stored_form(name, record))
            line.n = number
            lines.append(_encode(line))
        write_parts(self.scratch, chunk, stored)
        write_whole(self.lines_path(chunk), b"\n".join(lines))
        return len(lines)

    def _taken_apart(
        self, rows: Iterable[tuple[int, str, Sequence[str | None]]]
    ) -> Iterator[tuple[int, str, Told, Line]]:
        """Yield each row's parts and line; rows with the same values, which come in a row, are worked out once."""
        fields = self.records.fields
        usual = None if self.object == "account" else People.of(fields, self.region)
        before: Sequence[str | None] = ()
        told: tuple[Told, Line] = (Told(), Line(0))
        for number, name, values in rows:
            if values != before:
                told = (usual and usual.read(values)) or read_record(self.object, fields, values, self.region)
                before = values
            yield number, name, *told


def read_record(
    object_name: str, fields: Sequence[str], values: Sequence[str | None], region: str | None
) -> tuple[Told, Line]:
    """Return the parts and the line of any record, the line without its number."""
    raw = {field: value for field, value in zip(fields, values, strict=True) if value}
    normal = normalise(object_name, raw, region=region)
    record = parts_of(normal)
    keys = [f"{kind}|{value}" for kind, value in (*record.strong, *weak_of(normal))]
    return record, line_of(0, record, keys)


_encode: Final = msgspec.json.Encoder().encode
