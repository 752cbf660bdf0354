"""From a source's rows to what later stages read: parts for the workers, one line a record for the database.

Owns the lines. Runs in workers; the rules are the domain's, one record at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from headwater.identity.bulk.ports import Records
from headwater.identity.bulk.storing import write_parts, write_whole
from headwater.identity.domain.clustering.sharing import watched
from headwater.identity.domain.normalising import normalise, weak_of
from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.scoring.parts import Mailbox, Parts
from headwater.identity.domain.scoring.taking_apart import parts_of

_NAMES_KEPT: Final = 16_384
"""First names whose full names are remembered."""
OWN_COLUMNS: Final = frozenset({"job_title", "postcode", "birth_date"})
"""Texts and codes that the bound reads by themselves."""


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One record as the database reads it: its keys, and what the bound looks at.

    Args:
        n: its number.
        keys: `kind|value` of all keys; watched: those that can turn generic, by the names that use them.
        full_names: what the first given name may be short for.
        spelt: what the mailboxes spell.
        boxes: mailboxes of the person itself; local, digits, domain, free: of the first of them.
        others: names of further texts and codes.
    """

    n: int
    keys: list[str] = []
    watched: list[str] = []
    given: str = ""
    family: str = ""
    full_names: tuple[str, ...] = ()
    spelt: str = ""
    boxes: list[str] = []
    local: str = ""
    digits: str = ""
    domain: str = ""
    free: bool = False
    phones: tuple[str, ...] = ()
    linkedin: str = ""
    organisation: str = ""
    domains: tuple[str, ...] = ()
    house: str = ""
    street: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    title: str = ""
    postcode: str = ""
    birth: str = ""
    others: list[str] = []


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
        stored: list[tuple[str, Parts]] = []
        for number, name, record, keys in self._taken_apart(rows):
            stored.append((name, record))
            lines.append(_encode(line_of(number, record, keys)))
        write_parts(self.scratch, chunk, stored)
        write_whole(self.lines_path(chunk), b"\n".join(lines))
        return len(lines)

    def _taken_apart(
        self, rows: Iterable[tuple[int, str, Sequence[str | None]]]
    ) -> Iterator[tuple[int, str, Parts, list[str]]]:
        """Yield each row's parts and keys; rows with the same values, which come in a row, are worked out once."""
        fields = self.records.fields
        before: Sequence[str | None] = ()
        record, keys = Parts(), list[str]()
        for number, name, values in rows:
            if values != before:
                raw = {field: value for field, value in zip(fields, values, strict=True) if value}
                normal = normalise(self.object, raw, region=self.region)
                record = parts_of(normal)
                keys = [f"{kind}|{value}" for kind, value in (*record.strong, *weak_of(normal))]
                before = values
            yield number, name, record, keys


_encode: Final = msgspec.json.Encoder().encode


def line_of(number: int, parts: Parts, keys: list[str]) -> Line:
    """Return the line of a record."""
    boxes = [box for box in parts.mailboxes if not box.shared]
    box = boxes[0] if boxes else _NO_BOX
    return Line(
        number,
        keys,
        [f"{kind}|{value}" for kind, value in watched(parts)],
        parts.given,
        parts.family,
        _full_names(parts.given.partition(" ")[0]),
        parts.spelt,
        [one.address for one in boxes],
        box.local,
        box.digits,
        box.domain,
        box.free,
        parts.phones,
        parts.linkedin,
        parts.organisation,
        parts.domains,
        parts.house,
        parts.street,
        parts.city,
        parts.state,
        parts.country,
        parts.texts.get("job_title", ""),
        parts.codes.get("postcode", ""),
        parts.codes.get("birth_date", ""),
        [field for field in (*parts.texts, *parts.codes) if field not in OWN_COLUMNS],
    )


@lru_cache(_NAMES_KEPT)
def _full_names(first: str) -> tuple[str, ...]:
    return tuple(sorted(canonical_names(first))) if len(first) > 1 else ()


_NO_BOX: Final = Mailbox("", "", "", "")
