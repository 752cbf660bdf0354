"""What a person types to see who has which lead, to try another policy, and to see how soon leads are looked after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from tests.integration.cli.desk import Desk
from tests.integration.sync.routing_world import RoutingWorld, routing_world
from tests.unit.policy.routed import ROUTED
from tests.unit.sync.leads import TENANT, lead_id


@pytest.fixture
def desk(migrated_database_url: str, tmp_path: Path) -> Iterator[Desk[RoutingWorld]]:
    """Three leads of ann and bea."""
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(routing_world(migrated_database_url)) as world,
    ):
        environment = {
            "HEADWATER_INGEST_ADDRESS": "127.0.0.1:1",
            "HEADWATER_SYNC_ADDRESS": world.address,
            "HEADWATER_IDENTITY_ADDRESS": "127.0.0.1:1",
            "HEADWATER_DATA_DIR": str(tmp_path / "data"),
            "HEADWATER_TENANT": TENANT,
        }

        async def fill() -> None:
            for number in range(1, 4):
                await world.lead(number, country="DE")
            await world.step()

        portal.call(fill)
        yield Desk(portal, world, environment, tmp_path)


def test_show_tells_one_lead_or_all(desk: Desk[RoutingWorld]) -> None:
    """With its rule, its reason and its timers; or a page of them, by person and state."""
    shown = desk.type("routing", "show", lead_id(2)).stdout
    for told in ("bea (ae)", "rule dach: pool dach, next after ann", "first touch", "open", "escalates to"):
        assert told in shown, shown
    found = desk.json("routing", "show", "--person", "ann", "--state", "assigned")
    assert [item["person"] for item in found["assignments"]] == ["ann", "ann"]
    assert "next after bea" in desk.type("routing", "show").stdout
    wrong = desk.type("routing", "show", "--state", "happy")
    assert wrong.exit_code == 1
    assert "must be one of waiting, assigned" in wrong.output


def test_loads_tell_who_can_take_more(desk: Desk[RoutingWorld]) -> None:
    """And whose turn is next."""
    found = desk.json("routing", "loads")
    assert {item["person"]: item["open_count"] for item in found["people"]} == {
        "ann": "2", "bea": "1", "cid": "0", "dag": "0",
    }  # fmt: skip
    assert "gets the next lead" in desk.type("routing", "loads").stdout


def test_what_if_tells_who_would_have_got_what(desk: Desk[RoutingWorld]) -> None:
    """Changes against today, loads, rules; a policy that cannot be applied is told as ever."""
    file = desk.folder / "policy.yaml"
    file.write_text(ROUTED.replace("members: [ann, bea]", "members: [bea]").replace("${url}", "https://crm"))
    found = desk.json("routing", "what-if", file)
    assert found["rule_counts"] == {"dach": "3"}
    assert {item["person"]: item["after_count"] for item in found["people"]} == {"bea": "3"}
    assert "3 would have another owner" in desk.type("routing", "what-if", file).stdout
    file.write_text(ROUTED.replace("members: [ann, bea]", "members: [eve]"))
    refused = desk.type("routing", "what-if", file)
    assert refused.exit_code == 1
    assert "known_person" in refused.output


def test_sla_tells_timers_breaches_and_percentiles(desk: Desk[RoutingWorld]) -> None:
    """Met assignments, running first touches; later breaches, and who is told of them."""
    first = desk.json("sla", "--days", 3650)
    assert len(first["open_timers"]) == 3
    desk.portal.call(desk.world.step, 48 * 3600)
    found = desk.json("sla", "--days", 3650)
    assert [item["escalate_to"] for item in found["breaches"]] == ["dag"] * 3
    assert {(item["kind"], item["met_count"], item["breached_count"]) for item in found["summaries"]} == {
        ("TIMER_KIND_ASSIGNMENT", "3", "0"),
        ("TIMER_KIND_FIRST_TOUCH", "0", "3"),
    }
    assert "breaches" in desk.type("sla", "--days", 3650).stdout
