"""`make bench-policy`: what deciding, normalising and a full policy cost. CPU time of one process, no database.

One line a figure: value, goal, PASS or FAIL. Exit code 1 when a goal is missed. What is compared is measured in turns
within each round, so both sides saw the same machine.
"""

from __future__ import annotations

import argparse
import csv
import gc
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from tests.load.figures import Figure, Goal, Report, conclude, ratios
from tests.load.identity.measure_resolve import shared_directory
from tests.load.policy.world import (
    NORMALISED,
    TENANT,
    bare_policy,
    events,
    full_policy,
    normalising_policy,
    project,
)

from headwater.identity.domain.normalising import normalise
from headwater.policy.document import PolicyDocument
from headwater.policy.explaining import explain
from headwater.policy.inbound import canonicalise
from headwater.policy.survivorship import MemberRecord, survive
from headwater.sync.domain.projecting import Workspace

DECISIONS_PER_S: Final = 100_000.0
NORMALISE_US: Final = 60.0
FULL_OVER_BARE: Final = 1.25
PEOPLE: Final = 150
CHUNK_EVENTS: Final = 300
"""Events of one side's turn: some 20 ms, so that both sides share what else the machine does."""
FULL_FIELDS: Final = 7
"""Values that a contact states at least to be a full one."""


def members_of(workspace: Workspace) -> list[list[MemberRecord]]:
    """Return the records of each person."""
    return [
        [record.as_member() for record in members.values()]
        for members in workspace.members.values()
        if members
    ]


def decisions_per_s(people: Sequence[Sequence[MemberRecord]]) -> float:
    """Return how many fields of entities of four full records are decided in a second of CPU time."""
    rules = full_policy().rules["contact"]
    decided = sum(len(survive(rules, members)) for members in people)
    started = time.process_time()
    for members in people:
        survive(rules, members)
    return decided / (time.process_time() - started)


def explain_us(people: Sequence[Sequence[MemberRecord]]) -> float:
    """Return microseconds of one explanation."""
    policy = full_policy()
    started = time.process_time()
    for members in people:
        explain(policy, "contact", members, "phone")
    return (time.process_time() - started) / len(people) * 1e6


def full_contacts() -> list[dict[str, Any]]:
    """Return the contacts of the made set that state nearly everything, and by seed what the set has no column for.

    As people type it: a revenue in words, a date with slashes, a trade by its nickname, a code without its zero.
    """
    path = shared_directory() / "data" / "er" / "crm_synth_dev" / "records.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    chance = random.Random(8)
    return [{**row, **_typed(chance, number)} for number, row in enumerate(rows) if len(row) >= FULL_FIELDS]


def _typed(chance: random.Random, number: int) -> dict[str, Any]:
    millions = chance.randrange(1, 9_999) / 10
    country, state, code = chance.choice(
        [
            ("USA", "california", f"{chance.randrange(90_000, 96_200)}"),
            ("United States", "MA", f"{chance.randrange(1_000, 2_799)}"),
            (
                "Canada",
                "Ontario",
                f"m{chance.randrange(1, 10)}v{chance.randrange(1, 10)}t{chance.randrange(1, 10)}",
            ),
            ("Deutschland", "", f"{chance.randrange(10_000, 99_000)}"),
        ]
    )
    return {
        "industry": chance.choice(["IT", "tech", "banking", "Software", "retail"]).lower(),
        "revenue": chance.choice(
            [f"${millions}M", f"{millions} Mio €".replace(".", ","), f"USD {number},000"]
        ),
        "born": f"{chance.randrange(1, 13)}/{chance.randrange(1, 29)}/{chance.randrange(1950, 2005)}",
        "country": country,
        "postal_code": code,
        **({"state": state} if state else {}),
    }


def value_caches(package: str) -> list[Any]:
    """Return every bounded cache of the modules of *package*; what was read of libraries' tables is in others.

    From the modules, not from the garbage collector: that does not list what was frozen.
    """
    modules = [module for name, module in sys.modules.items() if f"{name}.".startswith(f"{package}.")]
    found = {id(item): item for module in modules for item in vars(module).values() if _is_bounded(item)}
    return list(found.values())


def _is_bounded(item: Any) -> bool:
    parameters = getattr(item, "cache_parameters", None)
    return parameters is not None and bool(parameters()["maxsize"])


def forget(caches: Sequence[Any]) -> None:
    """Empty caches, and make sure that they are."""
    assert caches
    for cache in caches:
        cache.cache_clear()
    assert not any(cache.cache_info().currsize for cache in caches)


def normalise_us(policy: PolicyDocument, contacts: Sequence[dict[str, Any]]) -> float:
    """Return microseconds of reading a full contact, types and contract included, from empty caches.

    Values repeat as they do among the contacts, of whom many are one person in several systems: see `new_values`.
    """
    forget(value_caches("headwater.policy"))
    started = time.process_time()
    for contact in contacts:
        canonicalise(policy, "crm", "contact", contact)
    return (time.process_time() - started) / len(contacts) * 1e6


def new_values(contacts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the share of each field's values that are seen for the first time: the others may come from a cache."""
    told = {name: [one[name] for one in contacts if one.get(name)] for name in NORMALISED}
    return {name: len(set(values)) / len(values) for name, values in told.items() if values}


def identity_us(contacts: Sequence[dict[str, Any]]) -> float:
    """Return microseconds of what identity makes of the same contacts' texts, never seen before."""
    forget(value_caches("headwater.identity.domain.normalising"))
    started = time.process_time()
    for contact in contacts:
        normalise("contact", contact)
    return (time.process_time() - started) / len(contacts) * 1e6


def projection_s(seed: int) -> tuple[float, float]:
    """Return CPU seconds of projecting the same events under the bare and under the full policy, in turns."""
    told, policies = events(PEOPLE, seed), (bare_policy(), full_policy())
    spent = [0.0, 0.0]
    workspaces = [Workspace({TENANT: policy}) for policy in policies]
    for start in range(0, len(told), CHUNK_EVENTS):
        chunk = told[start : start + CHUNK_EVENTS]
        for side in (0, 1) if (start // CHUNK_EVENTS) % 2 else (1, 0):
            began = time.process_time()
            project(workspaces[side], chunk)
            spent[side] += time.process_time() - began
    return spent[0], spent[1]


def repeated(rounds: int, measure: Callable[[], float]) -> tuple[float, ...]:
    """Return one value a round; a first one warms up."""
    measure()
    return tuple(measure() for _ in range(rounds))


def run(rounds: int) -> Report:
    """Measure everything."""
    people = members_of(project(Workspace({TENANT: full_policy()}), events(PEOPLE, seed=1)))
    contacts = full_contacts()
    gc.collect()
    gc.freeze()
    decisions = repeated(rounds, lambda: decisions_per_s(people))
    explained = repeated(rounds, lambda: explain_us(people))
    ruled, plain = normalising_policy(), normalising_policy(rules=False)
    normalised = repeated(rounds, lambda: normalise_us(ruled, contacts))
    typed = repeated(rounds, lambda: normalise_us(plain, contacts))
    identified = repeated(rounds, lambda: identity_us(contacts))
    projection_s(0)
    pairs = [projection_s(seed) for seed in range(1, rounds + 1)]
    bare, full = (tuple(side) for side in zip(*pairs, strict=True))
    figures = [
        Figure("field decisions", "1/s", Goal(">=", DECISIONS_PER_S), decisions),
        Figure("normalising a full contact, all rules", "us", Goal("<=", NORMALISE_US), normalised),
        Figure("the same for identity's keys", "us", Goal("<=", NORMALISE_US), identified),
        Figure("projection, full policy / bare", "", Goal("<=", FULL_OVER_BARE), ratios(full, bare)),
    ]
    details = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "contacts_normalised": len(contacts),
        "share_of_values_that_are_new": new_values(contacts),
        "events_projected": PEOPLE * 12,
        "rules_applied": sum(
            len(item.normalise) + bool(item.aliases) for item in ruled.objects["contact"].fields.values()
        ),
        "contacts_quarantined": sum(
            bool(canonicalise(ruled, "crm", "contact", one).violations) for one in contacts
        ),
        "reading_without_rules_us": typed,
        "explanation_us": explained,
        "projection_bare_s": bare,
        "projection_full_s": full,
    }
    return Report("Headwater policy", figures, details)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write the file asked for; return the exit code."""
    parser = argparse.ArgumentParser(prog="make bench-policy", description=__doc__)
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures")
    parser.add_argument("--rounds", type=int, default=7, help="of each figure; the median counts")
    given = parser.parse_args(arguments)
    return conclude(run(given.rounds), json_path=given.json)


if __name__ == "__main__":
    sys.exit(main())
