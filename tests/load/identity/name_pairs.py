"""Measures name pairs: `python -m tests.load.identity.name_pairs`; shipped weights, one threshold for all.

A pair of names is one when its evidence, without any prior, reaches `BITS_MIN`; nothing is fitted.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from typing import Final

from tests.load.identity.metrics import Rates
from tests.load.identity.sets import er_directory

from headwater.identity.domain.normalising import normalise
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.taking_apart import parts_of

BITS_MIN: Final = 7.0
"""Evidence that a pair of names needs: odds of a hundred to one over chance."""
KINDS: Final = {
    "companies": ("account", frozenset({"Company"})),
    "organisations": ("account", frozenset({"Company", "Organization", "LegalEntity"})),
    "persons": ("contact", frozenset({"Person"})),
}


def judged(kind: str) -> Iterator[tuple[bool, bool]]:
    """Yield what we say and what is true of each pair of a kind."""
    object_name, schemas = KINDS[kind]
    weights = shipped(object_name)
    with (er_directory() / "name_bench" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["schema"] in schemas:
                left, right = (
                    parts_of(normalise(object_name, {"name": row[side]})) for side in ("left", "right")
                )
                bits = score_bits(left, right, weights) - weights.prior_bits
                yield bits >= BITS_MIN, row["label"] == "1"


def rates(kind: str) -> Rates:
    """Return precision and recall of a kind."""
    pairs = list(judged(kind))
    both = sum(ours and true for ours, true in pairs)
    return Rates(both / sum(ours for ours, _ in pairs), both / sum(true for _, true in pairs))


def main() -> int:
    """Print each kind."""
    for kind in KINDS:
        found = rates(kind)
        sys.stdout.write(f"{kind:14} P {found.precision:.4f} R {found.recall:.4f} F1 {found.f1:.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
