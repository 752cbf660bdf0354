"""recordlinkage 0.16: `by_recordlinkage.py <columns> <clusters>`. Unsupervised; one configuration for each kind.

As its guide to deduplication does it: blocks, similarities with thresholds, and its one unsupervised classifier of
Fellegi and Sunter, ECM, at a probability of 0.5. It has no clustering of its own: pairs are closed, as its users do.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.load.identity.peers import table

SIMILAR = {
    "first": 0.85, "last": 0.85, "name": 0.85, "company": 0.9, "email": 0.92, "street": 0.85, "city": 0.88,
}  # fmt: skip
"""Jaro-Winkler similarity from which two values agree."""
SLIPS = {"phone": 0.9, "birth": 0.8, "official": 0.8, "postcode": 0.75}
"""Damerau-Levenshtein similarity, for values of digits: about one slip."""
EXACT = ("linkedin", "domain", "number", "country")
BLOCKS = {
    "contact": (
        ("email",), ("phone",), ("linkedin",), ("official",), ("first", "last"), ("last", "company"), ("last", "domain"),
        ("first", "company"), ("first", "domain"), ("last", "birth"), ("first", "birth"), ("last", "postcode"),
        ("birth", "postcode"),
    ),
    "account": (("name",), ("phone",), ("linkedin",), ("domain",), ("street", "city"), ("start", "city"), ("start",)),
}  # fmt: skip
WIDE = {"contact": (("birth",), ("last",), ("first",)), "account": (("city",), ("country",))}
PAIRS_MIN = 4
"""Pairs a record below which wide blocks are added, as its guide uses: its classifier must see strangers too."""
BLOCK_PAIRS_MAX = 1_000_000
"""A block that would make more pairs is left out: they are compared in memory."""


def main(source: Path, target: Path) -> None:
    """Index, compare, classify, close, write."""
    pandas, linkage = import_module("pandas"), import_module("recordlinkage")
    rows = table.read(source)
    columns = table.filled(rows)
    kind = "account" if "name" in rows[0] else "contact"
    frame = pandas.DataFrame(rows).set_index("unique_id")[columns].replace("", None)
    if "name" in columns:
        frame["start"] = frame["name"].str[:6]
    pairs = candidates(linkage, frame, kind)
    features = compare(linkage, columns).compute(pairs, frame)
    features = features.loc[:, features.nunique() > 1]
    matches = linkage.ECMClassifier().fit_predict(features)
    table.write(target, table.close((row["unique_id"] for row in rows), matches))
    table.say(columns=[*features.columns], pairs=len(pairs))


def candidates(linkage: Any, frame: Any, kind: str) -> Any:
    """Return the pairs of all blocks; records without a value are in no block."""
    found = None
    for block in (*BLOCKS[kind], *WIDE[kind]):
        if not set(block) <= set(frame.columns):
            continue
        if block in WIDE[kind] and found is not None and len(found) >= PAIRS_MIN * len(frame):
            continue
        known = frame.dropna(subset=list(block))
        sizes = known.groupby(list(block)).size()
        if (sizes * (sizes - 1) // 2).sum() > BLOCK_PAIRS_MAX:
            continue
        pairs = linkage.index.Block(left_on=list(block)).index(known)
        found = pairs if found is None else found.union(pairs)
    if found is None:
        raise ValueError("no block has its columns")
    return found


def compare(linkage: Any, columns: list[str]) -> Any:
    """Return the comparisons of the columns that are there."""
    made = linkage.Compare(n_jobs=1)
    for name in columns:
        if name in SIMILAR:
            made.string(name, name, method="jarowinkler", threshold=SIMILAR[name], label=name)
        elif name in SLIPS:
            made.string(name, name, method="damerau_levenshtein", threshold=SLIPS[name], label=name)
        elif name in EXACT:
            made.exact(name, name, label=name)
    return made


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
