"""The labelled sets as records to resolve: read, mapped to field names, normalised. No figures here."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headwater.identity.domain.clustering.memory import Keyed
from headwater.identity.domain.normalising import keys_of, normalise
from headwater.identity.domain.scoring.taking_apart import parts_of

Row = Mapping[str, str]
NOT_FIELDS: Final = frozenset({"rec_id", "cluster_id", "source"})

SETS: Final = (
    "crm_synth_dev",
    "febrl1",
    "febrl2",
    "febrl3",
    "fodors_zagats",
    "restaurants",
    "rldata500",
    "ror_springer",
    "fake_1000",
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A set: its records, and the true cluster of each."""

    name: str
    object: str
    records: list[Keyed]
    truth: dict[str, str]


def shared_directory() -> Path:
    """Find the shared data beside the repository, or where HEADWATER_SHARED says."""
    if named := os.environ.get("HEADWATER_SHARED"):
        return Path(named)
    return next(
        parent / "shared" for parent in Path(__file__).resolve().parents if (parent / "shared").is_dir()
    )


def er_directory() -> Path:
    """Where the labelled sets are."""
    return shared_directory() / "data" / "er"


@dataclass(frozen=True, slots=True)
class Raw:
    """A set as it is written: its records under canonical names of fields, and the true cluster of each."""

    name: str
    object: str
    records: list[tuple[str, dict[str, str]]]
    truth: dict[str, str]


def read_raw(directory: Path) -> Raw:
    """Read a folder with `records.csv` and `meta.json`."""
    meta = json.loads((directory / "meta.json").read_text(encoding="utf-8"))
    object_name = "account" if meta.get("entity") == "organisation" else "contact"
    mapped = _MAPPINGS.get(directory.name, dict)
    records: list[tuple[str, dict[str, str]]] = []
    truth: dict[str, str] = {}
    with (directory / "records.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            fields = {name: value for name, value in row.items() if value and name not in NOT_FIELDS}
            records.append((row["rec_id"], mapped(fields)))
            truth[row["rec_id"]] = row["cluster_id"]
    return Raw(directory.name, object_name, records, truth)


def read_set(directory: Path, region: str | None = None) -> Labelled:
    """Read a folder with `records.csv` and `meta.json`, its records normalised."""
    raw = read_raw(directory)
    records = [keyed(record, raw.object, fields, region) for record, fields in raw.records]
    return Labelled(raw.name, raw.object, records, raw.truth)


def keyed(record_id: str, object_name: str, fields: Row, region: str | None = None) -> Keyed:
    """Return a record with its parts and keys."""
    normal = normalise(object_name, fields, region=region)
    keys = keys_of(normal)
    return Keyed(record_id, parts_of(normal), tuple(key.hash for key in (*keys.strong, *keys.weak)))


def generate(into: Path, *, people: int, seed: int) -> Path:
    """Make a fresh set with the generator beside the data, once; return its folder."""
    folder = into / f"crm_{people}_{seed}"
    if not (folder / "meta.json").exists():
        generator = er_directory() / "generator"
        command = [
            sys.executable,
            str(generator / "gen_crm.py"),
            "--people",
            str(people),
            "--seed",
            str(seed),
        ]
        subprocess.run(
            [*command, "--out", str(folder)],
            check=True,
            env={**os.environ, "ER_NAMES": str(generator)},
            stdout=subprocess.DEVNULL,
            timeout=300,
        )
    return folder


def _german_register(row: Row) -> dict[str, str]:
    """Map the columns of rldata500, as a tenant's policy maps a CRM's fields to names."""
    day = f"{row.get('by', '')}-{row.get('bm', '').zfill(2)}-{row.get('bd', '').zfill(2)}"
    given = " ".join(value for name in ("fname_c1", "fname_c2") if (value := row.get(name, "")))
    family = " ".join(value for name in ("lname_c1", "lname_c2") if (value := row.get(name, "")))
    return {"first_name": given, "last_name": family, "birth_date": day}


_MAPPINGS: Final[Mapping[str, Callable[[Row], dict[str, str]]]] = {"rldata500": _german_register}
"""Sets whose columns have names that no rule knows."""
