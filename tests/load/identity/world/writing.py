"""Worlds as folders, like the labelled sets': `records.csv` and `meta.json`, made once."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.load.identity.world.recording import Record, accounts, contacts

FIELDS: Final = (
    "first_name", "last_name", "name", "email", "phone", "linkedin_url", "title", "company", "website", "street",
    "postcode", "city", "country",
)  # fmt: skip
MAKERS: Final[Mapping[str, tuple[str, Callable[[int, int], list[Record]]]]] = {
    "contacts": ("contact", contacts),
    "accounts": ("organisation", accounts),
}


def write_world(into: Path, kind: str, *, things: int, seed: int) -> Path:
    """Write a world's contacts or accounts, once; return the folder.

    Args:
        things: people or organisations; records are about 2.4 and 2.8 times as many.
    """
    folder = into / f"world_{kind}_{things}_{seed}"
    if (folder / "meta.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    entity, make = MAKERS[kind]
    records = make(seed, things)
    with (folder / "records.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("rec_id", "cluster_id", "source", *FIELDS), restval="")
        writer.writeheader()
        for number, one in enumerate(records):
            writer.writerow(
                {"rec_id": f"w{number:07d}", "cluster_id": one.thing, "source": one.source, **one.fields}
            )
    facts = {"kind": "dedupe", "entity": entity, "rows": len(records), "things": things, "seed": seed}
    (folder / "meta.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder
