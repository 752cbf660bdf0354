"""Keys of names against labelled pairs: `shared/data/er/name_bench`, from nomenklatura's bench (MIT)."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from rapidfuzz import fuzz

from headwater.identity.domain.normalising.company import read_company
from headwater.identity.domain.normalising.person import read_person

Pairs = list[tuple[str, str, bool]]


def pairs_of(schemas: Iterable[str]) -> Pairs:
    """Read the labelled pairs of some schemas."""
    named = os.environ.get("HEADWATER_SHARED")
    here = (parent / "shared" for parent in Path(__file__).resolve().parents)
    shared = Path(named) if named else next(path for path in here if path.is_dir())
    path = shared / "data" / "er" / "name_bench" / "pairs.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["schema"] in schemas]
    return [(row["left"], row["right"], row["label"] == "1") for row in rows]


def best_f1(pairs: Pairs, key: Callable[[str], str]) -> float:
    """Return the best F1 over all thresholds of the likeness of two keys."""
    scored = [(fuzz.WRatio(key(left), key(right)), same) for left, right, same in pairs]
    found = []
    for threshold in {score for score, _ in scored}:
        kept = [same for score, same in scored if score >= threshold]
        found.append(2 * sum(kept) / (len(kept) + sum(same for _, same in scored)))
    return max(found)


def _full_name(raw: str) -> str:
    name = read_person("", "", raw).name
    return f"{name.given} {name.family}"


@pytest.mark.parametrize(
    ("schemas", "f1_min"),
    [(("Company",), 0.895), (("Company", "Organization", "LegalEntity"), 0.885)],
)
def test_keys_of_companies_tell_pairs_apart(schemas: tuple[str, ...], f1_min: float) -> None:
    """Better than the best peer measured (0.883) with nothing but one string distance behind the key."""
    pairs = pairs_of(schemas)
    assert best_f1(pairs, lambda raw: read_company(raw).key) >= f1_min > best_f1(pairs, str.lower)


def test_names_of_people_tell_pairs_apart() -> None:
    """Reading the parts of a name is worth more than its letters."""
    pairs = pairs_of(("Person",))
    assert best_f1(pairs, _full_name) >= max(0.72, best_f1(pairs, str))
