"""The made-up world: the same from the same seed, as hard as it says, and written so that only the truth tells."""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from tests.load.identity.world.making import Shares, World
from tests.load.identity.world.recording import Record, accounts, contacts
from tests.load.identity.world.writing import write_world

PEOPLE = 1_500


@pytest.fixture(scope="module")
def written() -> list[Record]:
    """Contacts of one world."""
    return contacts(1, PEOPLE)


def test_the_same_seed_makes_the_same_records(written: list[Record]) -> None:
    """Records, fields and order."""
    assert contacts(1, PEOPLE) == written


def test_another_seed_makes_another_world(written: list[Record]) -> None:
    """Hardly a mailbox in common."""
    other = {one.fields.get("email") for one in contacts(2, PEOPLE)} - {None}
    ours = {one.fields.get("email") for one in written} - {None}
    assert len(other & ours) < 0.1 * len(ours)


def test_everybody_is_known_to_some_system(written: list[Record]) -> None:
    """No person without a record, and on average more than two records of one."""
    things = Counter(one.thing for one in written)
    assert len(things) == PEOPLE
    assert 2.0 < len(written) / PEOPLE < 3.0


def test_records_of_one_person_do_not_stand_together(written: list[Record]) -> None:
    """The order says nothing: neighbours are of one person as seldom as chance has it."""
    together = sum(one.thing == other.thing for one, other in pairwise(written))
    assert together < 15


def test_a_work_mailbox_is_one_persons() -> None:
    """A world hands out no mailbox twice, but to those who live together."""
    owners = defaultdict(set)
    for person in World(3, PEOPLE).inhabitants():
        for job in person.jobs:
            owners[job.mailbox].add(person.number)
    assert max(map(len, owners.values())) == 1


def test_what_makes_it_hard_is_there() -> None:
    """People who moved, families with one number, juniors, subsidiaries with one domain, names in several scripts."""
    world = World(4, 4_000)
    people = list(world.inhabitants())
    moved = sum(len(person.jobs) > 1 for person in people) / len(people)
    assert moved == pytest.approx(Shares().moved, abs=0.03)
    shared = [one for one, other in pairwise(people) if one.mobile == other.mobile]
    assert len(shared) > 50
    assert any(person.generation for person in people)
    domains = Counter(one.domains[0] for one in world.organisations)
    assert max(domains.values()) > 1
    assert any(not person.home_family.isascii() for person in people)
    assert len({person.family for person in people}) > 1_500


def test_systems_leave_out_and_share(written: list[Record]) -> None:
    """A good part lacks a mailbox or a number; role mailboxes and switchboards are shared by strangers."""
    whole = sum("email" in one.fields and "phone" in one.fields for one in written)
    assert 0.2 < whole / len(written) < 0.6
    by_mailbox = defaultdict(set)
    for one in written:
        if one.fields.get("email", "").lower().startswith("info@"):
            by_mailbox[one.fields["email"].lower()].add(one.thing)
    assert max(map(len, by_mailbox.values())) > 1


def test_accounts_of_one_organisation_differ() -> None:
    """Several records each, not all with one spelling of the name."""
    names = defaultdict(set)
    for one in accounts(5, 200):
        names[one.thing].add(one.fields["name"])
    assert len(names) == 200
    assert sum(len(found) > 1 for found in names.values()) > 60


def test_a_world_is_written_once_as_a_set(tmp_path: Path) -> None:
    """A folder like those of the labelled sets; made again, it is left as it is."""
    folder = write_world(tmp_path, "accounts", things=50, seed=9)
    with (folder / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["rec_id"] for row in rows}) == len(rows)
    assert len({row["cluster_id"] for row in rows}) == 50
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    assert (meta["entity"], meta["rows"]) == ("organisation", len(rows))
    before = (folder / "records.csv").stat().st_mtime_ns
    assert write_world(tmp_path, "accounts", things=50, seed=9) == folder
    assert (folder / "records.csv").stat().st_mtime_ns == before
