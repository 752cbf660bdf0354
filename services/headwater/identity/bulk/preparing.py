"""From a source's rows to what later stages read: parts for the workers, one line a record for the database.

Owns the form of both files. Runs in workers; the rules are the domain's, one record at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from headwater.identity.bulk.ports import Records
from headwater.identity.domain.clustering.sharing import named, watched
from headwater.identity.domain.normalising import normalise, weak_of
from headwater.identity.domain.normalising.nicknaming import canonical_names
from headwater.identity.domain.scoring.parts import Mailbox, Parts
from headwater.identity.domain.scoring.taking_apart import parts_of

OWN_COLUMNS: Final = frozenset({"job_title", "postcode", "birth_date"})
"""Texts and codes that the bound reads by themselves."""


class Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One record as the database reads it: where its parts are, its keys, and what the bound looks at.

    Args:
        n: its number; file, starts, size: where its parts stand.
        keys: `kind|value` of all keys; watched: those that can turn generic, with whom they name.
        first: first given name; plain: both names are one word; full_names: what `first` may be short for.
        boxes: mailboxes of the person itself; local, digits, domain, free: of the first of them.
        squeezed, label: the organisation's name and its domain's first label, without separators.
        others: names of further texts and codes.
    """

    n: int
    file: int
    starts: int
    size: int
    id: str
    keys: list[str] = []
    watched: list[str] = []
    whom: str = ""
    given: str = ""
    first: str = ""
    family: str = ""
    joined: str = ""
    plain: bool = False
    full_names: list[str] = []
    told_given: str = ""
    told_family: str = ""
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
    squeezed: str = ""
    label: str = ""
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
class Prepared:
    """What one chunk came to."""

    file: int
    records: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Preparing:
    """How records are prepared: pickled into every worker.

    Args:
        region: two letters; where numbers and dates are read when a record does not tell.
        into: directory of the two files of each chunk.
    """

    records: Records
    object: str
    region: str | None
    into: Path

    def parts_path(self, file: int) -> Path:
        """Where the parts of a chunk stand."""
        return self.into / f"parts-{file:05}.bin"

    def lines_path(self, file: int) -> Path:
        """Where the lines of a chunk stand."""
        return self.into / f"lines-{file:05}.jsonl"

    def run(self, file: int, start: int, stop: int) -> int:
        """Prepare the records from *start* to before *stop* as chunk *file*; return how many there were."""
        rows = self.records.read(start, stop)
        count = 0
        with self.parts_path(file).open("wb") as parts_file, self.lines_path(file).open("wb") as lines_file:
            at = 0
            for number, name, record, keys in self._taken_apart(rows):
                stored = _encode(record)
                line = line_of(number, name, record, keys, (file, at, len(stored)))
                parts_file.write(stored)
                lines_file.write(_encode_line(line))
                lines_file.write(b"\n")
                at += len(stored)
                count += 1
        return count

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


_encode: Final = msgspec.msgpack.Encoder().encode
_encode_line: Final = msgspec.json.Encoder().encode


def line_of(number: int, name: str, parts: Parts, keys: list[str], stands: tuple[int, int, int]) -> Line:
    """Return the line of a record.

    Args:
        stands: the file with its parts, their first byte, and how many.
    """
    boxes = [box for box in parts.mailboxes if not box.shared]
    first = parts.given.partition(" ")[0]
    box = boxes[0] if boxes else _NO_BOX
    return Line(
        number,
        *stands,
        name,
        keys,
        [f"{kind}|{value}" for kind, value in watched(parts)],
        named(parts),
        parts.given,
        first,
        parts.family,
        parts.joined,
        parts.plain,
        sorted(canonical_names(first)) if len(first) > 1 else [],
        parts.told_given,
        parts.told_family,
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
        parts.organisation.replace(" and ", "").replace(" ", ""),
        parts.domains[0].partition(".")[0].replace("-", "") if parts.domains else "",
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


_NO_BOX: Final = Mailbox("", "", "", "")
