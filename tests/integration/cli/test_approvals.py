"""What an operator types to decide about writes that wait, against the operations API on Postgres."""

from __future__ import annotations

import pytest
from tests.integration.cli.test_workbench import Desk, desk
from tests.integration.sync.world import World
from tests.unit.sync.deliveries import claimed
from tests.unit.sync.tenant import TENANT, key, policy

from headwater.policy.writing import Approval
from headwater.sync.domain.approving import ask_of
from headwater.sync.domain.delivering import Send, plan_delivery
from headwater.sync.domain.settling import State
from headwater.sync.store.approvals import PostgresApprovals

__all__ = ["desk"]


async def hold(world: World, *numbers: int, rule: str = "careful") -> None:
    """Put held deliveries in, with what is asked about them."""
    asks = []
    for number in numbers:
        await world.add_entity(number)
        await world.add_delivery(number, State.HELD, last_error="approval: careful waits for a decision")
        plan = plan_delivery(
            policy().connectors["salesforce"], claimed(entity_id=key(number), version=1), 0.0
        )
        assert isinstance(plan, Send)
        asks.append(ask_of(plan, rule, Approval(), "7"))
    await PostgresApprovals(world.pool).ask(asks)


def test_what_waits_is_listed_shown_and_approved_one_by_one(desk: Desk) -> None:
    """Side by side, with what asks; approved by id it goes at once."""
    desk.portal.call(hold, desk.world, 1, 2)
    held = desk.json("deliveries", "list", "--state", "held")["deliveries"]
    assert {item["last_error"] for item in held} == {"approval: careful waits for a decision"}
    first, second = desk.json("approvals", "list")["approvals"]
    shown = desk.type("approvals", "show", first["approval_id"])
    assert shown.exit_code == 0, shown.output
    assert "approval careful of policy 7" in shown.stdout
    assert '"Lovelace"' in shown.stdout
    done = desk.json("approvals", "approve", first["approval_id"], "--reason", "known")
    assert (done["decided_count"], done["decision"]) == (1, "approved")
    assert sorted(desk.states().values()) == [State.PENDING, State.HELD]
    (left,) = desk.json("approvals", "list", "--connector", "salesforce", "--kind", "create")["approvals"]
    assert left["approval_id"] == second["approval_id"]
    (decided,) = desk.json("approvals", "list", "--state", "approved")["approvals"]
    assert (decided["actor"], decided["reason"]) == ("jo", "known")


def test_many_are_rejected_by_filter_after_a_dry_run(desk: Desk) -> None:
    """First how many; with --yes all of them, with the reason."""
    desk.portal.call(hold, desk.world, 1, 2, 3)
    words = ("approvals", "reject", "--object", "contact", "--reason", "no leads on Sundays")
    dry = desk.json(*words)
    assert (dry["dry_run"], dry["allowed_count"], dry["decided_count"]) == (True, "3", 0)
    assert set(desk.states().values()) == {State.HELD}
    assert desk.json(*words, "--yes")["decided_count"] == 3
    assert set(desk.states().values()) == {State.PENDING}


def test_who_is_no_approver_decides_nothing(desk: Desk) -> None:
    """The policy lets somebody else decide about it; of a mixture only what is allowed is counted."""
    desk.portal.call(lambda: hold(desk.world, 1, rule="strict"))
    done = desk.type("approvals", "approve", "--object", "contact", "--yes")
    assert done.exit_code == 1
    assert "not among the approvers" in done.stderr
    desk.portal.call(hold, desk.world, 2)
    dry = desk.json("approvals", "approve", "--object", "contact")
    assert (dry["waiting_count"], dry["allowed_count"]) == ("2", "1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("approve", "--yes"), "name approvals, or one of"),
        (("approve", "00000000-0000-0000-0000-00000000000a"), "nothing is asked as"),
        (("reject", "00000000-0000-0000-0000-00000000000a", "--reason", ""), "reason"),
    ],
)
def test_what_names_nothing_or_says_no_reason_is_refused(
    desk: Desk, words: tuple[str, ...], told: str
) -> None:
    """Everything is never meant by leaving something out."""
    done = desk.type("approvals", *words)
    assert done.exit_code == 1
    assert told in done.stderr


def test_a_decided_approval_says_so(desk: Desk) -> None:
    """A second decision is told who was first."""
    desk.portal.call(hold, desk.world, 1)
    (item,) = desk.json("approvals", "list")["approvals"]
    desk.json("approvals", "approve", item["approval_id"])
    done = desk.type("approvals", "reject", item["approval_id"], "--reason", "late")
    assert done.exit_code == 1
    assert "is approved by jo" in done.stderr


def test_deleted_records_are_listed(desk: Desk) -> None:
    """None of this tenant; the command answers."""
    assert desk.json("deletes", "list") == {"records": [], "next_page_token": ""}
    assert TENANT in desk.environment.values()
