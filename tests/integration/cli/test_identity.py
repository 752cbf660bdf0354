"""What a reviewer types: ask before a create, see why two are one or not, decide, undo, assign; on Postgres."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.integration.identity.conftest import (
    TENANT,
    Client,
    RecordingLog,
    client_of,
    ingest_of,
    record,
    settings_for,
)
from typer.testing import CliRunner, Result

from headwater.cli.app import app


@dataclass(frozen=True, slots=True)
class Desk:
    """The command with the service it talks to."""

    portal: BlockingPortal
    client: Client
    environment: dict[str, str]

    def type(self, *words: object) -> Result:
        """Call the command."""
        return CliRunner().invoke(app, ["identity", *(str(word) for word in words)], env=self.environment)

    def json(self, *words: object) -> Any:
        """Call the command for its JSON."""
        done = self.type(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def doubtful(self) -> str:
        """Let two people have one profile; return the number of the question that follows."""
        self.portal.call(
            self.client.resolve,
            record("1", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Keller"),
            record("2", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Brandt"),
        )
        (review,) = self.json("review", "list")["reviews"]
        return str(review["candidate_id"])


@contextmanager
def desk_of(database_url: str, data_dir: Path, **settings: str) -> Iterator[Desk]:
    """Run an identity service; yield the command with its environment."""
    log = RecordingLog()
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(ingest_of(log)) as ingest,
        portal.wrap_async_context_manager(
            client_of(settings_for(database_url, ingest, **settings), log)
        ) as client,
    ):
        environment = {
            "HEADWATER_INGEST_ADDRESS": ingest,
            "HEADWATER_SYNC_ADDRESS": "127.0.0.1:1",
            "HEADWATER_IDENTITY_ADDRESS": client.address,
            "HEADWATER_DATA_DIR": str(data_dir),
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "jo",
        }
        yield Desk(portal, client, environment)


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """A running identity service, and the command's environment."""
    with desk_of(migrated_database_url, tmp_path / "data") as found:
        yield found


def test_a_question_is_shown_tried_decided_and_taken_back(desk: Desk) -> None:
    """A dry run first; then the merge, the audit, the undoing; the question is open again."""
    number = desk.doubtful()
    shown = desk.type("review", "show", number)
    assert "keller" in shown.stdout
    assert "brandt" in shown.stdout
    tried = desk.json("review", "decide", number, "merge")
    assert (tried["dry_run"], tried["action"]["action_id"]) == (True, "")
    assert len(desk.json("review", "list")["reviews"]) == 1
    done = desk.json("review", "decide", number, "merge", "--reason", "one desk", "--yes")
    assert (done["dry_run"], done["moved_records"]) == (False, tried["moved_records"])
    assert desk.json("review", "list")["reviews"] == []
    action = done["action"]["action_id"]
    assert desk.json("review", "undo", action)["dry_run"] is True
    desk.json("review", "undo", action, "--yes")
    assert len(desk.json("review", "list")["reviews"]) == 1
    lines = desk.json("review", "audit", "--candidate", number)["actions"]
    assert [(one["kind"], one["actor"]["id"], one["reason"]) for one in lines] == [
        ("REVIEW_ACTION_KIND_UNDO", "jo", ""),
        ("REVIEW_ACTION_KIND_MERGE", "jo", "one desk"),
    ]


def test_who_decides_second_is_told_and_fails(desk: Desk) -> None:
    """Exit code 1, who decided what, and for programs the reason; the same request again is no second decision."""
    number, request = desk.doubtful(), str(uuid.uuid4())
    first = desk.json("review", "decide", number, "keep-apart", "--request-id", request, "--yes")
    again = desk.json("review", "decide", number, "keep-apart", "--request-id", request, "--yes")
    assert again["action"] == first["action"]
    second = desk.type("review", "decide", number, "merge", "--yes", "--json")
    assert second.exit_code == 1
    error = json.loads(second.stdout)["error"]
    assert (error["reason"], error["metadata"]["actor_id"]) == ("ALREADY_DECIDED", "jo")


def test_a_question_is_put_off_and_given_to_a_person(desk: Desk) -> None:
    """Skipped ones are listed on demand only; each sees their own."""
    number = desk.doubtful()
    desk.json("review", "assign", number, "kim")
    assert [one["assignee"] for one in desk.json("review", "list", "--assignee", "kim")["reviews"]] == ["kim"]
    assert desk.json("review", "list", "--assignee", "lou")["reviews"] == []
    desk.json("review", "decide", number, "skip", "--for", "2h", "--yes")
    assert desk.json("review", "list")["reviews"] == []
    assert len(desk.json("review", "list", "--skipped")["reviews"]) == 1


def test_an_explanation_is_drawn_with_its_exact_sum_and_as_a_page(desk: Desk, tmp_path: Path) -> None:
    """The terminal's last line is the service's score; the page holds all lines and needs nothing beside it."""
    desk.doubtful()
    two = ("crm/contact/1", "crm/contact/2")
    told = desk.json("explain", *two)
    assert sum(one["bits"] for one in told["fields"]) == told["bits"]
    page = tmp_path / "why.html"
    drawn = desk.type("explain", *two, "--html", page)
    assert drawn.exit_code == 0
    (last,) = [line for line in drawn.stdout.splitlines() if line.startswith("sum")]
    assert float(last.split()[-1]) == told["bits"]
    text = page.read_text(encoding="utf-8")
    assert all(one["field"] in text for one in told["fields"])
    assert not any(outside in text for outside in ("http:", "https:", "src=", "<script", "@import"))


def test_a_check_says_what_exists_and_what_matched(desk: Desk) -> None:
    """The entity with its records when it exists, and that nothing does when nothing does."""
    desk.portal.call(desk.client.resolve, record("1", email="ann@firm.io", first_name="Ann", last_name="Lee"))
    found = desk.json("check", "email=Ann@Firm.io", "first_name=Ann", "last_name=Lee")
    assert (found["answer"], found["candidates"][0]["rule"]) == ("DUPLICATE_ANSWER_EXISTS", "contact.email")
    assert "crm/contact/1" in desk.type("check", "email=ann@firm.io", "last_name=Lee").stdout
    assert desk.json("check", "email=zed@other.io")["answer"] == "DUPLICATE_ANSWER_NEW"


@pytest.mark.parametrize(
    "words",
    [("check", "email"), ("check", "email=a@b.io", "email=c@d.io"), ("explain", "nobody", "crm/contact/1")],
)
def test_what_cannot_be_read_is_told_without_a_call(desk: Desk, words: tuple[str, ...]) -> None:
    """Exit code 1 and a sentence that names what was typed."""
    done = desk.type(*words)
    assert done.exit_code == 1
    assert words[1].partition("=")[0] in done.stderr


def test_a_going_over_is_counted_and_followed_to_its_end(desk: Desk) -> None:
    """A dry run changes nothing; the job is begun, its bar ends with it, and the figures say what it did."""
    for number in range(3):
        desk.portal.call(desk.client.resolve, record(str(number), email=f"p{number}@firm.io"))
    assert desk.json("redo", "--status")["behind"] is False
    tried = desk.json("redo", "--dry-run")
    assert tried == {"records": 3, "behind": 0, "changed": 0, "changed_keys": 0, "dry_run": True}
    assert "redo" not in desk.json("redo", "--status")
    done = desk.json("redo")["redo"]
    assert (done["phase"], int(done["steps_done"])) == ("REDO_PHASE_DONE", 6)
    shown = desk.type("redo")
    assert (shown.exit_code, "6 / 6" in shown.stdout) == (0, True)


def test_a_going_over_of_a_tenant_without_records_ends(desk: Desk) -> None:
    """There is nothing to wait for."""
    assert desk.json("redo", "--tenant", "nobody")["redo"]["phase"] == "REDO_PHASE_DONE"


def test_a_group_is_shown_by_an_id_that_it_had(desk: Desk) -> None:
    """The id that went leads to the group that took its records."""
    one, two = desk.portal.call(
        desk.client.resolve, record("1", email="a@firm.io"), record("2", phone="+12125557812")
    )
    desk.json("merge", one.entity_id, two.entity_id, "--yes")
    found = {desk.json("group", group)["group_id"] for group in (one.group_id, two.group_id)}
    assert len(found) == 1
    assert "crm/contact/2" in desk.type("group", one.group_id).stdout
    assert desk.type("group", str(uuid.uuid4())).exit_code == 1


def test_every_command_teaches_itself(desk: Desk) -> None:
    """--help of each says what it does and what comes of it."""
    for words in (
        ("review",),
        ("review", "decide"),
        ("review", "undo"),
        ("explain",),
        ("check",),
        ("redo",),
        ("group",),
    ):
        done = desk.type(*words, "--help")
        assert done.exit_code == 0
        assert "Usage" in done.stdout
