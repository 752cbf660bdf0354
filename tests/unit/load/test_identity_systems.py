"""Systems are run as processes of their own: what they answer, what they cost, why they failed."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from tests.load.identity import systems
from tests.load.identity.columns import prepare, values_of
from tests.load.identity.groups import Answer, read_answer, write_answer
from tests.load.identity.own import closed
from tests.load.identity.peers import table
from tests.load.identity.sets import read_raw
from tests.load.identity.sets_of_run import SEEDS, TEACHER_SEED, fresh, labelled
from tests.load.identity.speed import copies_of, stream_of
from tests.load.identity.world.writing import write_world

from headwater.identity.domain.normalising import normalise

ANSWERING = """
import sys
held = bytearray(60_000_000)
while sum(range(200_000)) and __import__("time").process_time() < 0.4: held[::4096] = held[::4096]
open(sys.argv[1], "w").write("rec_id,group\\na,1\\nb,1\\n")
print('{"labels": 60}')
"""


def python(program: str, target: Path) -> list[str]:
    """Return the command of a program that writes to *target*."""
    return [sys.executable, "-c", program, str(target)]


@pytest.mark.slow
def test_an_answer_comes_with_its_cost_and_what_was_told(tmp_path: Path) -> None:
    """Wall, CPU and the most memory of the process, and its last line."""
    target = tmp_path / "answer.csv"
    run = systems.run("splink", "s", python(ANSWERING, target), target, timeout_s=10)
    assert run.answer == Answer({"a": "1", "b": "1"})
    assert run.failure == ""
    assert run.told == {"labels": 60}
    assert run.wall_s >= 0.4
    assert run.cpu_s >= 0.4
    assert run.rss_bytes > 60_000_000


@pytest.mark.slow
def test_a_system_that_fails_says_why(tmp_path: Path) -> None:
    """The last line of its complaint."""
    run = systems.run("splink", "s", python("raise ValueError('no block')", tmp_path), tmp_path, timeout_s=10)
    assert (run.answer, run.failure) == (None, "ValueError: no block")


@pytest.mark.slow
def test_a_system_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """With what it started; the run says so."""
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'while True: pass'])"
    run = systems.run("dedupe", "s", python(program, tmp_path), tmp_path, timeout_s=0.5)
    assert run.failure == "not done within 0.5 s"
    assert run.wall_s < 5


def test_a_peer_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the command that installs it."""
    run = systems.run("splink", "s", [str(tmp_path / "python"), "x"], tmp_path, timeout_s=1)
    assert run.failure == "not installed: make peers-identity"


def test_an_answer_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Both tiers; a peer's file has one."""
    answer = Answer({"a": "x", "b": "x"}, {"a": "a", "b": "b"})
    write_answer(tmp_path / "ours.csv", answer)
    assert read_answer(tmp_path / "ours.csv") == answer
    table.write(tmp_path / "peer.csv", {"a": "x", "b": "x"})
    assert read_answer(tmp_path / "peer.csv") == Answer({"a": "x", "b": "x"})


def test_pairs_are_closed() -> None:
    """What is connected by any chain is one group; who has no pair stays alone."""
    groups = table.close("abcde", [("a", "b"), ("c", "b"), ("d", "d")])
    assert groups["a"] == groups["b"] == groups["c"]
    assert len({groups["a"], groups["d"], groups["e"]}) == 3


def test_exact_keys_join_by_any_key_and_close() -> None:
    """One shares a key with the second, the second another with the third."""
    groups = closed({"a": [1], "b": [1, 2], "c": [2], "d": []})
    assert groups["a"] == groups["c"] != groups["d"]


def test_columns_leave_out_what_identifies_nobody() -> None:
    """Role mailboxes never, shared numbers where asked."""
    normal = normalise(
        "contact", {"email": "info@acorn.test", "phone": "+442079460011", "last_name": "Orbeli"}
    )
    assert values_of(normal)["email"] == ""
    assert values_of(normal)["phone"] == "+442079460011"
    assert values_of(normal, {"+442079460011"})["phone"] == ""


def test_columns_are_of_every_record_and_the_truth_stands_apart(tmp_path: Path) -> None:
    """No column tells the peers what belongs together."""
    folder = write_world(tmp_path, "contacts", things=40, seed=3)
    path = prepare(folder, tmp_path, damped=False)
    rows, raw = table.read(path), read_raw(folder)
    assert [row["unique_id"] for row in rows] == [record for record, _ in raw.records]
    assert not any(raw.truth[row["unique_id"]] in row.values() for row in rows)
    assert path.with_suffix(".truth.json").exists()
    assert {"first", "last", "email"} <= set(table.filled(rows))


def test_no_set_teaches_dedupe_about_itself() -> None:
    """Teachers are other sets, or have a seed of their own."""
    assert TEACHER_SEED not in SEEDS
    assert all(one.teacher != one.name for one in [*labelled(), *fresh("15k", SEEDS)])


def test_contacts_for_speed_do_not_repeat() -> None:
    """Every record has an id of its own, also across worlds; the same seed gives the same."""
    records = list(islice(stream_of(1, 200), 1_500))
    assert len({one.record.external_id for one in records}) == 1_500
    assert len({one.SerializeToString(deterministic=True) for one in records}) == 1_500
    again = list(islice(stream_of(1, 200), 1_500))
    assert [one.attributes["last_name"] for one in again] == [one.attributes["last_name"] for one in records]


def test_hot_copies_share_a_mailbox_that_nobody_else_has() -> None:
    """Copies are records of one person; two people's copies have nothing new in common."""
    one, other = islice(stream_of(2, 50), 2)
    mailboxes = {copy.attributes["email"] for copy in copies_of(one, 3)}
    assert len(mailboxes) == 1
    assert mailboxes.isdisjoint(copy.attributes["email"] for copy in copies_of(other, 3))
    assert len({copy.record.external_id for copy in copies_of(one, 3)}) == 3
