"""What an operator types to see failures and put them right, against the operations API on Postgres."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from tests.doubles.fake_ingest import FakeIngest, serving
from tests.integration.sync.failing import bury, states
from tests.integration.sync.world import World, served
from tests.unit.sync.tenant import TENANT, key
from typer.testing import CliRunner, Result

from headwater.cli.app import app
from headwater.sync.domain.settling import State
from headwater.sync.replaying.worker import ReplayWorker
from headwater.sync.store.replays import PostgresReplays


@dataclass(frozen=True, slots=True)
class Desk:
    """The command with everything it talks to."""

    portal: BlockingPortal
    world: World
    ingest: FakeIngest
    environment: dict[str, str]

    def type(self, *words: object) -> Result:
        """Call the command."""
        return CliRunner().invoke(app, [str(word) for word in words], env=self.environment)

    def json(self, *words: object) -> Any:
        """Call the command for its JSON."""
        done = self.type(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def bury(self, *numbers: int) -> None:
        """Put dead deliveries in, all of one cause."""
        self.portal.call(bury, self.world, *numbers)

    def states(self) -> dict[int, int]:
        """Return number of the entity to state of its delivery."""
        return self.portal.call(states, self.world)

    def work_off(self) -> None:
        """Let a process work off the replays for once."""
        self.portal.call(ReplayWorker(PostgresReplays(self.world.pool), self.world.time).step)


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk]:
    """The operations API on a database of the test's own, and a fake ingest."""
    fake = FakeIngest()
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(serving(fake)) as ingest,
        portal.wrap_async_context_manager(served(migrated_database_url)) as world,
    ):
        environment = {
            "HEADWATER_INGEST_ADDRESS": ingest,
            "HEADWATER_SYNC_ADDRESS": world.address,
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
            "HEADWATER_ACTOR": "jo",
        }
        yield Desk(portal, world, fake, environment)


def test_errors_are_listed_shown_and_previewed(desk: Desk) -> None:
    """From the list to one group, and what its deliveries would write, as JSON and as tables."""
    desk.bury(1, 2)
    (group,) = desk.json("errors", "list")["groups"]
    assert (group["message"], group["dead_count"]) == ("Email <email> is taken by record <n>", "2")
    shown = desk.json("errors", "show", group["group_id"])
    assert [item["action"] for item in shown["previews"]] == ["create", "create"]
    assert [item["field"] for item in shown["previews"][0]["changes"]] == ["Email", "LastName"]
    seen = desk.json("errors", "preview", "--connector", "salesforce", "--entity", key(2))
    assert [item["field"] for item in seen["previews"][0]["changes"]] == ["Email", "LastName"]
    people = desk.type("errors", "show", group["group_id"])
    assert "https://runbooks/sf" in people.stdout
    assert (
        '"a2@x.io"' in desk.type("errors", "preview", "--entity", key(2), "--connector", "salesforce").stdout
    )


def test_a_cause_is_shown_without_the_records_values_unless_asked_for(desk: Desk) -> None:
    """Neither people nor machines get one; with --values both do."""
    desk.bury(1)
    group = desk.json("errors", "list")["groups"][0]["group_id"]
    people = desk.type("errors", "show", group).stdout
    assert ("a value" in people, '"a1@x.io"' in people) == (True, False)
    (bare,) = desk.json("errors", "show", group)["previews"]
    assert [set(one) for one in bare["changes"]] == [{"field", "rule"}] * 2
    assert '"a1@x.io"' in desk.type("errors", "show", group, "--values").stdout
    shown = desk.json("errors", "show", group, "--values")
    assert shown["previews"][0]["changes"][0]["after_json"] == '"a1@x.io"'


def test_a_replay_is_counted_begun_followed_and_listed(desk: Desk) -> None:
    """Nothing happens without --yes; with it the engine works, and the lists show how far."""
    desk.bury(1, 2, 3)
    dry = desk.json("errors", "replay", "--all", "--rate", 2)
    assert (dry["dry_run"], dry["total_count"], desk.json("replays", "list")["replays"]) == (True, "3", [])
    begun = desk.json("errors", "replay", "--connector", "salesforce", "--rate", 1, "--yes")
    desk.work_off()
    (listed,) = desk.json("replays", "list")["replays"]
    assert (listed["replayed_count"], listed["state"]) == ("1", "REPLAY_STATE_RUNNING")
    paused = desk.json("replays", "pause", begun["replay_id"])
    assert paused["replay"]["state"] == "REPLAY_STATE_PAUSED"
    desk.json("replays", "resume", begun["replay_id"])
    for _ in range(3):
        desk.world.clock.advance(1)
        desk.work_off()
    followed = desk.json("replays", "show", begun["replay_id"], "--follow")
    assert (followed["state"], followed["replayed_count"]) == ("REPLAY_STATE_DONE", "3")
    assert desk.states() == dict.fromkeys((1, 2, 3), State.PENDING)


def test_following_a_cancelled_replay_fails(desk: Desk) -> None:
    """Exit code 1, and the reason for programs."""
    desk.bury(1, 2)
    begun = desk.json("errors", "replay", "--all", "--yes")
    desk.json("replays", "cancel", begun["replay_id"])
    done = desk.type("replays", "show", begun["replay_id"], "--follow", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["error"]["reason"] == "REPLAY_CANCELLED"


@pytest.mark.parametrize("scope", [(), ("--all", "--connector", "salesforce")])
def test_a_replay_needs_exactly_one_scope(desk: Desk, scope: tuple[str, ...]) -> None:
    """Everything is never meant by leaving something out."""
    done = desk.type("errors", "replay", *scope, "--yes")
    assert done.exit_code == 1
    assert "--all" in done.stderr


def test_deliveries_are_replayed_and_discarded_by_account_and_entity(desk: Desk) -> None:
    """The same engine works them off as those of a group."""
    desk.bury(1, 2)
    desk.json("deliveries", "replay", "salesforce", "--entity", str(key(1)), "--yes")
    words = ("deliveries", "discard", "salesforce", "--entity", str(key(2)), "--reason", "gone")
    desk.json(*words, "--yes")
    desk.world.clock.advance(1)
    desk.work_off()
    assert desk.states() == {1: State.PENDING, 2: State.DISCARDED}
    assert len(desk.json("replays", "list")["replays"]) == 2


@pytest.mark.parametrize("scope", [(), ("--all", "--entity", str(key(1)))])
def test_a_discard_of_an_account_needs_exactly_one_scope(desk: Desk, scope: tuple[str, ...]) -> None:
    """Nothing is ended by leaving something out."""
    desk.bury(1)
    done = desk.type("deliveries", "discard", "salesforce", *scope, "--reason", "gone", "--yes")
    assert done.exit_code == 1
    assert "--all" in done.stderr
    assert desk.json("replays", "list")["replays"] == []


def test_a_group_is_discarded_with_a_reason(desk: Desk) -> None:
    """Counted first; the reason is kept."""
    desk.bury(1, 2)
    (group,) = desk.json("errors", "list")["groups"]
    words = ("errors", "discard", group["group_id"], "--reason", "test data")
    dry = desk.json(*words)
    assert (dry["dry_run"], dry["total_count"], dry["discard_reason"]) == (True, "2", "test data")
    assert desk.states() == dict.fromkeys((1, 2), State.DEAD)
    desk.json(*words, "--yes")
    desk.world.clock.advance(1)
    desk.work_off()
    assert desk.states() == dict.fromkeys((1, 2), State.DISCARDED)
    assert desk.json("errors", "list")["groups"] == []
    assert len(desk.json("errors", "list", "--state", "resolved")["groups"]) == 1


def test_a_correction_is_an_event_of_the_operator(desk: Desk) -> None:
    """Shown with what stands now; recorded only with --yes, named by the entity."""
    desk.bury(1)
    words = ("errors", "edit", key(1), "--set", "email=new@x.io", "--unset", "title")
    dry = desk.json(*words)
    assert (dry["fields"], dry["event_key"], desk.ingest.ledger) == (
        {"email": "new@x.io", "title": None}, "", {},
    )  # fmt: skip
    done = desk.json(*words, "--yes")
    ((event_key, payload),) = desk.ingest.ledger.items()
    assert done["event_key"] == event_key
    assert json.loads(payload) == {"email": "new@x.io", "title": None}


def test_a_correction_that_the_contract_refuses_fails(desk: Desk) -> None:
    """Exit code 1 with the broken rule; likewise nothing to correct, and an entity nobody knows."""
    desk.bury(1)
    refused = desk.type("errors", "edit", key(1), "--set", "email=broken", "--yes", "--json")
    assert refused.exit_code == 1
    assert json.loads(refused.stdout)["error"]["violations"][0]["rule"] == "format.email"
    for words in ((key(1),), (key(9), "--set", "email=a@x.io"), (key(1), "--set", "email")):
        assert desk.type("errors", "edit", *words).exit_code == 1
