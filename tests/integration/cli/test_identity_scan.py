"""A scan of a tenant's own records: the service's groups, all at once; what it finds is proposed or merged on demand."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.cli.test_identity import Desk, desk_of
from tests.integration.identity.conftest import record
from tests.load.identity.sets import NOT_FIELDS, er_directory

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Santanov"}


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A service that merges by itself."""
    with desk_of(migrated_database_url, tmp_path / "data") as found:
        yield found


@pytest.fixture
def asking(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A service that merges nothing by itself, and asks about one pair of each record."""
    settings = {"HEADWATER_IDENTITY_MERGE": "review", "HEADWATER_IDENTITY_PAIRS_MAX": "1"}
    with desk_of(migrated_database_url, tmp_path / "data", **settings) as found:
        yield found


def _tell(desk: Desk, count: int) -> list[str]:
    """Let the service resolve records of a labelled set in batches; return their names."""
    with (er_directory() / "crm_synth_dev" / "records.csv").open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["cluster_id"])[:count]
    random.Random(5).shuffle(rows)
    told: list[tuple[str, dict[str, Any]]] = [
        (row["rec_id"], {name: value for name, value in row.items() if value and name not in NOT_FIELDS})
        for row in rows
    ]
    records = [record(name, **said) for name, said in told]
    for start in range(0, count, 20):
        desk.portal.call(desk.client.resolve, *records[start : start + 20])
    return [row["rec_id"] for row in rows]


def _groups(desk: Desk, names: Iterable[str]) -> set[frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for name in names:
        entity = desk.portal.call(desk.client.entity_of, name)
        group = next(one.group_id for one in entity.members if one.record.external_id == name)
        found[group].add(f"crm/contact/{name}")
    return {frozenset(group) for group in found.values()}


def _scanned(into: Path) -> set[frozenset[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    with (into / "clusters.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["group_id"]].add(row["record_id"])
    return {frozenset(group) for group in found.values()}


def _three(desk: Desk) -> None:
    """Let a record tie three entities together."""
    page, phone = "linkedin.com/in/ann-santanov-7", "+12125557812"
    desk.portal.call(
        desk.client.resolve,
        record("1", email="ann@firm.io", **ANN),
        record("2", linkedin_url=page, **ANN),
        record("3", phone=phone, **ANN),
    )
    desk.portal.call(
        desk.client.resolve, record("4", email="ann@firm.io", linkedin_url=page, phone=phone, **ANN)
    )


def _questions(desk: Desk) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = desk.json("review", "list")["reviews"]
    return found


def _entities(desk: Desk) -> set[str]:
    return {desk.portal.call(desk.client.entity_of, str(number)).entity_id for number in range(1, 5)}


@pytest.mark.timeout(60)
def test_a_scan_of_a_tenant_gives_the_groups_that_the_service_came_to(desk: Desk, tmp_path: Path) -> None:
    """All at once and record by record: the same groups; and nothing was changed."""
    names = _tell(desk, 300)
    before = desk.json("review", "list", "--limit", 500)
    done = desk.json("scan", "--into", tmp_path / "scan", "--cores", 1)
    found = _scanned(tmp_path / "scan")
    assert len(found) < 250
    assert found == _groups(desk, names)
    assert (done["records"], done["dry_run"], done["merged"]) == (300, True, 0)
    assert desk.json("review", "list", "--limit", 500) == before


@pytest.mark.timeout(60)
def test_what_a_scan_finds_is_proposed_once(asking: Desk, tmp_path: Path) -> None:
    """A dry run says how many there are; proposed, they are on the list; again, nothing is added."""
    _three(asking)
    into = ("scan", "--into", tmp_path / "scan", "--cores", 1)
    before = len(_questions(asking))
    tried = asking.json(*into)
    assert tried["proposals"]["proposed"] > 0
    assert len(_questions(asking)) == before
    done = asking.json(*into, "--propose")
    assert done["proposals"] == tried["proposals"]
    assert len(_questions(asking)) == before + done["proposals"]["proposed"]
    again = asking.json(*into, "--propose")["proposals"]
    assert "proposed" not in again
    assert len(_entities(asking)) == 3


@pytest.mark.timeout(60)
def test_what_a_scan_finds_is_merged_when_it_is_confirmed(asking: Desk, tmp_path: Path) -> None:
    """Not without --yes; then by the merges of every day, of which each can be split."""
    _three(asking)
    into = ("scan", "--into", tmp_path / "scan", "--cores", 1, "--merge")
    tried = asking.json(*into)
    assert (tried["dry_run"], tried["merged"], len(_entities(asking))) == (True, 0, 3)
    done = asking.json(*into, "--yes")
    assert (done["dry_run"], done["merged"], len(_entities(asking))) == (False, 2, 1)
    asking.portal.call(asking.client.log.wait_for, 2)
    merged = [event.external_id for _, event in asking.client.log.events]
    asking.json("split", merged[-1], "--yes")
    assert len(_entities(asking)) == 2


@pytest.mark.timeout(60)
def test_what_a_person_told_apart_is_neither_proposed_nor_merged(asking: Desk, tmp_path: Path) -> None:
    """Two entities stay two, whatever the scan says."""
    _three(asking)
    for question in _questions(asking):
        asking.json("review", "decide", question["candidate_id"], "keep-apart", "--yes")
    into = ("scan", "--into", tmp_path / "scan", "--cores", 1)
    assert asking.json(*into)["proposals"]["told_apart"] > 0
    asking.json(*into, "--merge", "--yes")
    assert len(_entities(asking)) > 1


def test_a_file_and_a_tenant_exclude_each_other(desk: Desk, tmp_path: Path) -> None:
    """What is typed for both is refused before anything is read."""
    table = tmp_path / "rows.csv"
    table.write_text("id,email\n1,ann@firm.io\n", encoding="utf-8")
    done = desk.type("scan", table, "--into", tmp_path / "scan", "--propose")
    assert done.exit_code == 1
    assert "--propose" in done.stderr
