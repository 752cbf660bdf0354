"""Splink 5 on DuckDB: `by_splink.py <columns> <clusters>`. Unsupervised; one configuration for people, one for accounts.

As its own examples for people do it (FEBRL 3, quick start): name, date of birth and mailbox comparisons from its
library, term frequencies, u from random pairs, EM on two or three blocks that leave each comparison free in one of
them, the prior from exact rules at an assumed recall, and its documented clustering at a probability of 0.95.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.load.identity.peers import table

THRESHOLD = 0.95
SEED = 7
PAIRS_MAX = 1e6
"""Random pairs for u, as in its examples."""
RECALL = 0.7
"""Assumed share of the true pairs that the exact rules find."""
BLOCKS = {
    "contact": (
        ("email",), ("phone",), ("linkedin",), ("official",), ("first", "last"), ("last", "company"), ("last", "domain"),
        ("first", "company"), ("first", "domain"), ("last", "birth"), ("first", "birth"), ("last", "postcode"),
        ("first", "postcode"), ("birth", "postcode"),
    ),
    "account": (("name",), ("phone",), ("linkedin",), ("domain",), ("street", "city"), ("start", "city"), ("start",)),
}  # fmt: skip
EXACT = {
    "contact": (
        ("email",),
        ("linkedin",),
        ("official",),
        ("first", "last", "phone"),
        ("first", "last", "birth"),
        ("last", "birth"),
    ),
    "account": (("name", "phone"), ("name", "city"), ("linkedin",)),
}
TEACHING = {
    "contact": (
        ("email",),
        ("first", "last"),
        ("phone",),
        ("birth",),
        ("postcode",),
        ("last", "company"),
        ("last",),
        ("first",),
    ),
    "account": (("name",), ("phone",), ("domain",), ("start", "city"), ("city",), ("start",)),
}
"""Blocks for EM: as many as needed until each comparison was free in one."""


def comparisons(library: Any, columns: list[str]) -> dict[str, Any]:
    """Return a comparison for each column that is there."""
    all_of = {
        "first": library.NameComparison("first").configure(term_frequency_adjustments=True),
        "last": library.NameComparison("last").configure(term_frequency_adjustments=True),
        "name": library.JaroWinklerAtThresholds("name", [0.95, 0.88, 0.8]).configure(
            term_frequency_adjustments=True
        ),
        "company": library.JaroWinklerAtThresholds("company", [0.95, 0.88]).configure(
            term_frequency_adjustments=True
        ),
        "email": library.EmailComparison("email"),
        "phone": library.LevenshteinAtThresholds("phone", [1]).configure(term_frequency_adjustments=True),
        "linkedin": library.ExactMatch("linkedin"),
        "number": library.ExactMatch("number"),
        "street": library.JaroWinklerAtThresholds("street", [0.9]).configure(term_frequency_adjustments=True),
        "city": library.JaroWinklerAtThresholds("city", [0.9]).configure(term_frequency_adjustments=True),
        "postcode": library.LevenshteinAtThresholds("postcode", [1]).configure(
            term_frequency_adjustments=True
        ),
        "birth": library.DamerauLevenshteinAtThresholds("birth", [1, 2]),
        "official": library.DamerauLevenshteinAtThresholds("official", [1, 2]),
    }
    if "name" in columns:  # of a person, the mailbox says it
        all_of["domain"] = library.ExactMatch("domain").configure(term_frequency_adjustments=True)
    return {name: made for name, made in all_of.items() if name in columns}


def rule(splink: Any, block: tuple[str, ...]) -> Any:
    """Return a blocking rule; `start` is the beginning of a name."""
    return splink.block_on(*("substr(name, 1, 6)" if part == "start" else part for part in block))


def usable(blocks: tuple[tuple[str, ...], ...], columns: list[str]) -> list[tuple[str, ...]]:
    """Return the blocks whose columns are there."""
    known = {*columns, *(("start",) if "name" in columns else ())}
    return [block for block in blocks if known.issuperset(block)]


def main(source: Path, target: Path) -> None:
    """Train, predict, cluster, write."""
    splink, library = import_module("splink"), import_module("splink.comparison_library")
    api = import_module("splink.backends.duckdb").DuckDBAPI()
    pandas = import_module("pandas")
    rows = table.read(source)
    columns = table.filled(rows)
    kind = "account" if "name" in rows[0] else "contact"
    made = comparisons(library, columns)
    frame = pandas.DataFrame(rows)[["unique_id", *made]].replace("", None)
    settings = splink.SettingsCreator(
        link_type="dedupe_only",
        comparisons=list(made.values()),
        blocking_rules_to_generate_predictions=[
            rule(splink, block) for block in usable(BLOCKS[kind], [*made])
        ],
        retain_matching_columns=False,
    )
    linker = splink.Linker(api.register(frame), settings, log_level="ERROR")
    refused = train(splink, linker, kind, [*made])
    predicted = linker.inference.predict(threshold_match_probability=THRESHOLD)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=THRESHOLD
    )
    group_of = {str(row["unique_id"]): str(row["cluster_id"]) for row in clusters.as_record_list()}
    table.write(target, group_of)
    table.say(columns=[*made], refused=refused)


def train(splink: Any, linker: Any, kind: str, columns: list[str]) -> list[str]:
    """Estimate the prior, u, and m; return the steps that Splink refused on these records, whose defaults stay."""
    refused: list[str] = []

    def step(name: str, estimate: Callable[[], object]) -> bool:
        try:
            estimate()
        except ValueError as failure:
            refused.append(f"{name}: {failure}"[:160])
            return False
        return True

    training = linker.training
    exact = [rule(splink, block) for block in usable(EXACT[kind], columns)]
    step("prior", lambda: training.estimate_probability_two_random_records_match(exact, recall=RECALL))
    step("u", lambda: training.estimate_u_using_random_sampling(max_pairs=PAIRS_MAX, seed=SEED))
    free: set[str] = set()
    for block in usable(TEACHING[kind], columns):
        teaches = {*columns} - {"name" if part == "start" else part for part in block}
        made = rule(splink, block)
        if not teaches <= free and step(
            f"m by {block}", partial(training.estimate_parameters_using_expectation_maximisation, made)
        ):
            free |= teaches
    return refused


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
