"""What an operator types: learn, look, activate, take back; on Postgres."""

from __future__ import annotations

from typing import Any

import pytest
from tests.integration.cli.test_identity import Desk, desk
from tests.integration.identity.conftest import record

__all__ = ["desk"]


@pytest.fixture
def full(desk: Desk) -> Desk:
    """A desk with people who are there twice."""
    people = [
        record(
            f"{n}",
            first_name=f"N{'abcdefghij'[n // 2 % 10]}{n // 20}a",
            last_name=f"F{n // 2}b",
            linkedin_url=f"linkedin.com/in/person-{n // 2}x",
            city="London" if n % 2 else "Paris",
        )
        for n in range(160)
    ]
    desk.portal.call(lambda: desk.client.resolve(*people))
    return desk


def _versions(desk: Desk) -> list[Any]:
    return list(desk.json("weights", "list").get("versions", []))


def test_weights_are_learnt_looked_at_activated_and_taken_back(full: Desk) -> None:
    """A dry run first; then a proposal, its bits, the activation after a look, the rollback, the audit."""
    tried = full.json("learn", "--dry-run")
    assert (tried["dry_run"], tried["results"][0]["source"]["pairs"]) == (True, 80)
    assert _versions(full) == []
    (learnt,) = full.json("learn", "--object", "contact")["results"]
    assert (learnt["version"], learnt["active"]) == (1, False)
    assert any(one["bits"] != one["bits_before"] for one in learnt["levels"])
    assert full.json("weights", "activate", "1")["dry_run"] is True
    assert [one["active"] for one in _versions(full)] == [False]
    full.json("weights", "activate", "1", "--reason", "looked at it", "--yes")
    assert [(one["active"], one["weights_version"]) for one in _versions(full)] == [(True, "learned-1")]
    assert full.json("weights", "rollback")["version"] == 1
    full.json("weights", "rollback", "--yes")
    shown = full.json("weights", "show", "1")
    lines = [(one["rollback"], one["version"], one["actor"]["id"]) for one in shown["activations"]]
    assert lines == [(True, 0, "jo"), (False, 1, "jo")]
    assert shown["activations"][1]["reason"] == "looked at it"


def test_people_see_which_levels_move_and_what_to_type_next(full: Desk) -> None:
    """Old and new bits by field and level; `show` without a number shows what counts."""
    learnt = full.type("learn", "--object", "contact")
    assert learnt.exit_code == 0, learnt.output
    assert "same city" in learnt.stdout
    assert "headwater identity weights activate 1" in learnt.stdout
    shown = full.type("weights", "show")
    assert "shipped-2" in shown.stdout
    assert "before evidence" in shown.stdout
    assert "learned" not in full.type("weights", "list").stderr


def test_a_version_that_is_not_there_fails_in_words(full: Desk) -> None:
    """Exit code 1, and for programs the reason."""
    failed = full.type("weights", "activate", "7", "--yes")
    assert failed.exit_code == 1
    assert "learned-7" in failed.stderr


def test_nothing_to_learn_from_is_no_failure(desk: Desk) -> None:
    """A tenant without records learns nothing."""
    done = desk.type("learn")
    assert (done.exit_code, done.stdout.strip()) == (0, "no records to learn from")
