"""A scan of a whole file: the same groups as record by record, whatever is in its way."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.load.identity.sets import er_directory
from tests.unit.identity.bulk.scans import Rows, groups_of, keyed_rows, plan_of, scanned, write_csv

from headwater.identity.bulk.settings import Limits
from headwater.identity.domain.clustering.bulk import resolve_all
from headwater.identity.domain.clustering.linkage import Rules
from headwater.identity.domain.clustering.memory import Keyed, Memory
from headwater.identity.domain.clustering.stream import Stream
from headwater.identity.domain.scoring.weights import Weights

IGNORED = ("cluster_id", "source")
Groups = set[tuple[str, ...]]


def read_rows(name: str, records: int) -> list[dict[str, str]]:
    """Return records of a labelled set, those of one cluster together."""
    with (er_directory() / name / "records.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["cluster_id"])[:records]


def streamed(records: list[Keyed], weights: Weights) -> Groups:
    """Return the groups that records come to one by one, in a random order."""
    arriving = list(records)
    random.Random(3).shuffle(arriving)
    stream = Stream(Memory(weights, Rules()))
    for record in arriving:
        stream.resolve(record)
    return {group for group in stream.groups() if len(group) > 1}


def scan_groups(rows: Rows, tmp_path: Path, **how: object) -> tuple[Groups, Weights]:
    """Return the groups of a scan and the weights that it used."""
    present = [name for name in IGNORED if name in rows[0]]
    path = write_csv(tmp_path / "rows.csv", rows)
    scratch = tmp_path / "scratch"
    scan = scanned(plan_of(path, scratch, ignore=present, **how))  # type: ignore[arg-type]
    try:
        return groups_of(scan, scratch), scan.weights
    finally:
        scan.close()


@pytest.mark.parametrize("learn", [False, True], ids=["shipped", "learned"])
def test_a_scan_gives_what_the_stream_gives(tmp_path: Path, *, learn: bool) -> None:
    """Two thousand contacts, all at once and one by one: the same groups, record for record."""
    rows = read_rows("crm_synth_dev", 2_000)
    found, weights = scan_groups(rows, tmp_path, learn=learn)
    assert len(found) > 300
    assert found == streamed(keyed_rows(rows, ignore=IGNORED), weights)


def test_a_scan_of_organisations_gives_what_the_stream_gives(tmp_path: Path) -> None:
    """Accounts have other keys and no bound."""
    rows = read_rows("restaurants", 1_000)
    found, weights = scan_groups(rows, tmp_path, object_name="account")
    assert found
    assert found == streamed(keyed_rows(rows, "account", IGNORED), weights)


def test_tasks_of_few_pairs_give_the_same_groups(tmp_path: Path) -> None:
    """Components that are cut, scored apart and put together again end as those that stay whole."""
    rows = read_rows("crm_synth_dev", 1_500)
    records = keyed_rows(rows, ignore=IGNORED)
    found, weights = scan_groups(
        rows, tmp_path, limits=Limits(chunk_records=400, chunk_pairs=3, slice_pairs=500)
    )
    groups = resolve_all(records, Memory(weights, Rules())).groups
    assert found == {group for group in groups if len(group) > 1}


def test_a_large_component_reads_all_its_pairs(tmp_path: Path) -> None:
    """Where not all pairs are scored, those below the threshold count in the averages too."""
    rows, rules = read_rows("crm_synth_dev", 1_500), Rules(completed_max=2)
    records = keyed_rows(rows, ignore=IGNORED)
    found, weights = scan_groups(rows, tmp_path, rules=rules)
    groups = resolve_all(records, Memory(weights, rules)).groups
    assert found == {group for group in groups if len(group) > 1}


@pytest.mark.timeout(60)
def test_two_workers_give_what_one_gives(tmp_path: Path) -> None:
    """Processes share no state."""
    rows = read_rows("crm_synth_dev", 600)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    limits = [Limits(cores=cores, chunk_records=200, chunk_pairs=100) for cores in (1, 2)]
    one, _ = scan_groups(rows, tmp_path / "one", limits=limits[0])
    two, _ = scan_groups(rows, tmp_path / "two", limits=limits[1])
    assert one == two


@pytest.mark.timeout(90)
@pytest.mark.parametrize("stage", ["prepare", "block", "link"])
def test_a_scan_that_was_killed_goes_on_where_it_was(stage: str, tmp_path: Path) -> None:
    """Killed as a stage begins: called again it does not repeat the stages before, and comes to the same."""
    path = write_csv(tmp_path / "rows.csv", read_rows("crm_synth_dev", 1_000))
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert finished(path, whole)[0] == "copy"
    kill_at(stage, path, torn)
    assert not (torn / "clusters.csv").exists()
    assert finished(path, torn)[0] == stage
    assert (torn / "clusters.csv").read_bytes() == (whole / "clusters.csv").read_bytes()
    assert (torn / "review.csv").read_bytes() == (whole / "review.csv").read_bytes()
    assert not (torn / "scratch").exists()


def test_another_file_does_not_go_on_with_an_unfinished_scan(tmp_path: Path) -> None:
    """What a scratch directory holds is of one file and its options."""
    path = write_csv(tmp_path / "rows.csv", read_rows("crm_synth_dev", 300))
    kill_at("block", path, tmp_path / "out")
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert told(path, tmp_path / "out")[-1]["error"]["reason"] == "OTHER_SCAN"


def test_a_refused_file_leaves_nothing_behind(tmp_path: Path) -> None:
    """The next call may name other columns."""
    path = write_csv(tmp_path / "rows.csv", [{"key": "1", "name": "Kaya Orbeli"}])
    assert told(path, tmp_path / "out", "--ignore", "nope")[-1]["error"]["reason"] == "MALFORMED"
    assert told(path, tmp_path / "out", "--id-column", "key")[-1]["report"]["records"] == 1


def test_the_command_shows_the_figures_and_names_the_files(tmp_path: Path) -> None:
    """With --json the report is the only thing on stdout, and every record is in the clusters."""
    path = write_csv(tmp_path / "rows.csv", read_rows("crm_synth_dev", 300))
    command = [
        *(sys.executable, "-m", "headwater.cli", "identity", "scan", str(path), "--json", "--cores", "1"),
        *("--into", str(tmp_path / "out"), "--ignore", "cluster_id", "--ignore", "source"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    report = json.loads(done.stdout)
    assert report["records"] == 300
    assert report["groups"] + report["duplicates"] == 300
    assert sum(size["records"] * size["groups"] for size in report["sizes"]) == 300
    with (tmp_path / "out" / report["files"]["clusters_csv"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len({row["record_id"] for row in rows}) == 300
    assert len({row["group_id"] for row in rows}) == report["groups"]
    assert len({row["merge_id"] for row in rows}) == 300 - report["merges"]
    for page in ("report.html", "report.txt"):
        assert "Size of groups" in (tmp_path / "out" / page).read_text(encoding="utf-8")


def command_of(path: Path, into: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "headwater.identity.bulk", str(path), "--into", str(into), *more]


def told(path: Path, into: Path, *more: str) -> list[dict[str, Any]]:
    """Return the lines of a scan that runs to its end."""
    done = subprocess.run(
        command_of(path, into, *more), capture_output=True, text=True, check=False, timeout=60
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def finished(path: Path, into: Path) -> list[str]:
    """Run a scan to its end; return the stages that it ran."""
    lines = told(path, into)
    assert "report" in lines[-1]
    return list(dict.fromkeys(line["progress"][0] for line in lines if "progress" in line))


def kill_at(stage: str, path: Path, into: Path) -> None:
    """Run a scan and kill it when it says that a stage begins."""
    with subprocess.Popen(command_of(path, into), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line).get("progress") == [stage, 0, 1]:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
