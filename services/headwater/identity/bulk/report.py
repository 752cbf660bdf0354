"""What a scan found, as files: clusters, pairs for review, figures. Proposes only; writes nowhere else.

Estimated precision is the model's own: bits are log2 of the odds that a pair is one thing. A sample of the
review file, judged by people, is what proves it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from headwater.identity.bulk.database import REPORT, Connection
from headwater.identity.bulk.scanning import Plan, Scan

CLUSTERS: Final = "clusters"
REVIEW: Final = "review.csv"
FIGURES: Final = "report.json"
BANDS: Final = ((-1, 0), (0, 3), (3, 6), (6, 10), (10, 15), (15, 1_000))
"""Bands of bits, from below, that linked pairs are counted in."""


class Size(msgspec.Struct, frozen=True):
    """How many groups have so many records."""

    records: int
    groups: int


class Band(msgspec.Struct, frozen=True):
    """Linked pairs whose bits lie from *low* to below *high*, and the share of them that is right, as estimated."""

    low: int
    high: int
    pairs: int
    precision: float


class Report(msgspec.Struct, frozen=True):
    """The figures of a scan.

    Args:
        duplicate_rate: records beyond the first of their group, of all records.
        merges: records that the merge rule alone would take away.
        candidate_pairs: pairs that share a key; likely_pairs: those whose bound reaches the threshold;
            compared_pairs: those that were scored.
        keys_crowded: keys that too many records have, so that they bring nobody together.
        values_shared: mailboxes, numbers, domains that identify nobody.
        doubts: pairs for review by outcome, as they were found; the file has the closest ones.
    """

    source: str
    object: str
    weights: str
    learned_from: int
    records: int
    groups: int
    duplicates: int
    duplicate_rate: float
    merges: int
    sizes: Sequence[Size]
    largest: Sequence[Mapping[str, Any]]
    candidate_pairs: int
    likely_pairs: int
    compared_pairs: int
    keys_crowded: int
    largest_key_records: int
    values_shared: int
    bands: Sequence[Band]
    doubts: Mapping[str, int]
    seconds: Mapping[str, float]
    files: Mapping[str, str]


def write_report(scan: Scan, plan: Plan, into: Path) -> Report:
    """Write the files of a scan whose stages are all complete; return its figures."""
    into.mkdir(parents=True, exist_ok=True)
    connection = scan.connection
    _read_results(scan, plan, connection)
    clusters = connection.sql(REPORT["clusters"].text, params={"path": str(scan.rows_path)})
    clusters.create("cluster")
    found = connection.table("cluster")
    found.write_parquet(str(into / f"{CLUSTERS}.parquet"))
    found.write_csv(str(into / f"{CLUSTERS}.csv"))
    review = {"bits_min": plan.rules.bits_min, "pairs_max": plan.limits.review_pairs_max}
    connection.sql(REPORT["review"].text, params=review).write_csv(str(into / REVIEW))
    report = _figures(scan, plan, connection)
    (into / FIGURES).write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return report


def _read_results(scan: Scan, plan: Plan, connection: Connection) -> None:
    """Read the workers' files into tables; again where an earlier report was cut short."""
    tasks = scan.facts["link"]["tasks"]
    for kind in ("member", "doubt"):
        connection.execute(REPORT[f"create_{kind}"].text)
        paths = [plan.scratch / f"{kind}s-{task}.jsonl" for task in tasks]
        filled = [str(path) for path in paths if path.stat().st_size]
        if filled:
            connection.execute(REPORT[f"read_{kind}s"].text, {"paths": filled})
    connection.execute(REPORT["forget_cluster"].text)


def _figures(scan: Scan, plan: Plan, connection: Connection) -> Report:
    sizes = connection.execute(REPORT["count_groups"].text).fetchall()
    ((merges,),) = connection.execute(REPORT["count_merges"].text).fetchall()
    largest = connection.execute(REPORT["largest"].text).fetchall()
    records, blocked, linked = scan.facts["copy"]["records"], scan.facts["block"], scan.facts["link"]
    grouped = sum(size * count for size, count in sizes)
    groups = sum(count for _, count in sizes)
    duplicates = grouped - groups
    singles = [Size(1, records - grouped)] if records > grouped else []
    return Report(
        source=plan.source.path.name,
        object=plan.object,
        weights=scan.weights.version,
        learned_from=scan.facts["weigh"]["sample"],
        records=records,
        groups=records - duplicates,
        duplicates=duplicates,
        duplicate_rate=round(duplicates / records, 4) if records else 0.0,
        merges=merges,
        sizes=[*singles, *(Size(size, count) for size, count in sizes)],
        largest=[{"group_id": name, "records": count} for name, count in largest],
        candidate_pairs=blocked["candidate_pairs"],
        likely_pairs=scan.facts["bound"]["likely_pairs"],
        compared_pairs=linked["compared_pairs"],
        keys_crowded=blocked["keys_crowded"],
        largest_key_records=blocked["largest_key_records"],
        values_shared=len(blocked["shared"]),
        bands=bands_of(dict(linked["bands"])),
        doubts=dict(connection.execute(REPORT["count_doubts"].text).fetchall()),
        seconds={name: round(seconds, 3) for name, seconds in scan.seconds.items()},
        files={"clusters": f"{CLUSTERS}.parquet", "clusters_csv": f"{CLUSTERS}.csv", "review": REVIEW},
    )


def bands_of(pairs: Mapping[int, int]) -> list[Band]:
    """Return the bands of linked pairs with their estimated precision.

    Args:
        pairs: how many were linked, by whole bits.
    """
    found: list[Band] = []
    for low, high in BANDS:
        inside = {bits: count for bits, count in pairs.items() if low <= bits < high}
        total = sum(inside.values())
        right = sum(count / (1 + 2 ** -(bits + 0.5)) for bits, count in inside.items())
        found.append(Band(low, high, total, round(right / total, 4) if total else 1.0))
    return found
