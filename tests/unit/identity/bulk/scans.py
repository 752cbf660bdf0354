"""Scans of small files, for the tests of the bulk road."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headwater.identity.bulk.scanning import STAGE_NAMES, Plan, Scan
from headwater.identity.bulk.settings import Limits
from headwater.identity.bulk.sources import FileSource
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed
from headwater.identity.domain.normalising import keys_of, normalise
from headwater.identity.domain.scoring.taking_apart import parts_of

Rows = Sequence[Mapping[str, str]]


def write_csv(path: Path, rows: Rows) -> Path:
    """Write rows as a CSV file; all have the columns of the first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def plan_of(
    path: Path,
    scratch: Path,
    *,
    object_name: str = "contact",
    ignore: Iterable[str] = (),
    limits: Limits | None = None,
    rules: Rules | None = None,
    learn: bool = False,
) -> Plan:
    """Return the plan of a small scan."""
    source = FileSource(path, left_out=frozenset(ignore))
    return Plan(source, object_name, scratch, learn=learn, limits=limits or Limits(), rules=rules or Rules())


def scanned(plan: Plan, until: str = STAGE_NAMES[-1]) -> Scan:
    """Run a scan up to a stage; the caller closes it."""
    scan = Scan(plan, lambda *_: None)
    scan.run(until)
    return scan


def groups_of(scan: Scan, scratch: Path) -> set[tuple[str, ...]]:
    """Return the groups of two records or more."""
    names = dict(
        scan.connection.execute(
            "SELECT n, id FROM read_parquet($path)", {"path": str(scan.rows_path)}
        ).fetchall()
    )
    groups: dict[str, list[str]] = {}
    for task in scan.facts["link"]["tasks"]:
        for line in (scratch / f"members-{task}.jsonl").read_text(encoding="utf-8").splitlines():
            number, group, _, _ = json.loads(line)
            groups.setdefault(group, []).append(names[number])
    return {tuple(sorted(group)) for group in groups.values()}


def keyed_rows(rows: Rows, object_name: str = "contact", ignore: Iterable[str] = ()) -> list[Keyed]:
    """Return rows as the service would take them in, one by one."""
    left_out = {"id", "rec_id", *ignore}
    found = []
    for row in rows:
        fields = {name: value for name, value in row.items() if value and name not in left_out}
        normal = normalise(object_name, fields)
        keys = keys_of(normal)
        hashes = tuple(key.hash for key in (*keys.strong, *keys.weak))
        found.append(Keyed(row.get("id") or row["rec_id"], parts_of(normal), hashes))
    return found
