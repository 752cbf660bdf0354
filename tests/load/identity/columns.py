"""What the peers are given of a set: the columns that our own normalisation makes, in one CSV file.

Generous on purpose: the peers get clean values for which they would need rules of their own, role mailboxes and
junk numbers are gone, and the cost of it is not theirs. In a second form, values that several names share are left
out too, as our clustering does it. Where a set has no value for a column in most records, peers leave it aside.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from tests.load.identity.sets import Raw, read_raw

from headwater.identity.domain.clustering.sharing import shared_values
from headwater.identity.domain.normalising import Normal, normalise
from headwater.identity.domain.scoring.taking_apart import parts_of

CONTACT: Final = (
    "first", "last", "email", "phone", "linkedin", "company", "domain", "number", "street", "city", "postcode", "birth",
    "official",
)  # fmt: skip
ACCOUNT: Final = ("name", "phone", "linkedin", "domain", "number", "street", "city", "postcode", "country")


def prepare(folder: Path, into: Path, *, damped: bool) -> Path:
    """Write the columns of a set, and which record is of what in a file beside it; return the columns' file."""
    raw = read_raw(folder)
    normals = [normalise(raw.object, fields) for _, fields in raw.records]
    shared: AbstractSet[str] = shared_values(map(parts_of, normals)) if damped else frozenset()
    path = into / f"{folder.name}{'-damped' if damped else ''}.csv"
    columns = ACCOUNT if raw.object == "account" else CONTACT
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("unique_id", *columns))
        writer.writeheader()
        writer.writerows(_rows(raw, normals, columns, shared))
    path.with_suffix(".truth.json").write_text(json.dumps(raw.truth), encoding="utf-8")
    return path


def _rows(
    raw: Raw, normals: Sequence[Normal], columns: Sequence[str], shared: AbstractSet[str]
) -> Iterator[dict[str, str]]:
    for (record, _), normal in zip(raw.records, normals, strict=True):
        known = values_of(normal, shared)
        yield {"unique_id": record, **{column: known[column] for column in columns}}


def values_of(normal: Normal, shared: AbstractSet[str] = frozenset()) -> Mapping[str, str]:
    """Return the columns of one record; a mailbox or number of *shared* is left out."""
    mailboxes = [one.address for one in normal.emails if not one.blocked_by and one.address not in shared]
    numbers = [one.e164 for one in normal.phones if one.e164 not in shared]
    return {
        "first": normal.name.given,
        "last": normal.name.family,
        "name": normal.company.key,
        "company": normal.company.key,
        "email": mailboxes[0] if mailboxes else "",
        "phone": numbers[0] if numbers else "",
        "linkedin": normal.linkedin.path if normal.linkedin else "",
        "domain": normal.domain,
        "number": normal.address.number,
        "street": normal.address.street,
        "city": normal.address.city,
        "postcode": normal.address.postcode,
        "country": normal.address.country,
        "birth": normal.birth_date.iso if normal.birth_date else "",
        "official": normal.official_ids[0] if normal.official_ids else "",
    }
