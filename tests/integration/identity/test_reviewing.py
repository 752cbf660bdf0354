"""The review queue through the running service: decide, undo exactly, assign, audit, two who decide at once."""

from __future__ import annotations

import uuid
from typing import Any

import anyio
import asyncpg
import grpc
import pytest
from tests.integration.identity.conftest import ACTOR, TENANT, Client, record

from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

TABLES = {
    "entity": "entity_id, merged_into",
    "member": "record_id, entity_id, group_id",
    "exclusive_key": "hash, entity_id",
    "told_apart": "low_id, high_id, retract_time",
    "merge_candidate": "seq, close_time, skip_time, assignee",
}
"""What a decision may change, by table."""


async def _dump(tables: asyncpg.Connection[asyncpg.Record]) -> dict[str, list[str]]:
    return {
        name: sorted(
            str(tuple(row))
            for row in await tables.fetch(f"SELECT {columns} FROM identity.{name}")  # noqa: S608 - constants
        )
        for name, columns in TABLES.items()
    }


async def _doubtful(identity: Client) -> pb.Review:
    """Let two people have one profile; return what a person is asked."""
    await identity.resolve(
        record("1", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Keller"),
        record(
            "2", source="erp", linkedin_url="linkedin.com/in/sales", first_name="Nora", last_name="Brandt"
        ),
    )
    (review,) = await _reviews(identity)
    return review


async def _torn(identity: Client) -> pb.Review:
    """Let two records of one entity come to have two profiles; return what a person is asked."""
    await identity.resolve(record("1", email="ann@firm.io", first_name="Ann", last_name="Lee"))
    await identity.resolve(record("2", email="ann@firm.io", first_name="Ann", last_name="Lee"))
    for name in ("1", "2"):
        profile = f"linkedin.com/in/ann-lee-{name}"
        await identity.resolve(
            record(name, email="ann@firm.io", first_name="Ann", last_name="Lee", linkedin_url=profile)
        )
    (review,) = await _reviews(identity)
    return review


async def _reviews(identity: Client, **wish: Any) -> list[pb.Review]:
    return list((await identity.stub.ListReviews(pb.ListReviewsRequest(tenant_id=TENANT, **wish))).reviews)


async def _decide(identity: Client, review: pb.Review, verdict: str, **more: Any) -> pb.DecideReviewResponse:
    return await identity.stub.DecideReview(
        pb.DecideReviewRequest(
            tenant_id=TENANT,
            candidate_id=review.candidate_id,
            verdict=pb.ReviewVerdict.Value(f"REVIEW_VERDICT_{verdict}"),
            **{"actor": ACTOR, "request_id": str(uuid.uuid4()), "decision_reason": "looked at both", **more},
        )
    )


async def _undo(identity: Client, action: pb.ReviewAction, **more: Any) -> pb.UndoReviewResponse:
    return await identity.stub.UndoReview(
        pb.UndoReviewRequest(
            tenant_id=TENANT,
            action_id=action.action_id,
            **{"actor": ACTOR, "request_id": str(uuid.uuid4()), **more},
        )
    )


def _later() -> dict[str, int]:
    return {"seconds": 4_102_444_800}


async def test_a_candidate_is_put_side_by_side(identity: Client) -> None:
    """Both entities' records with their fields, and bits that add up to the score exactly."""
    review = await _doubtful(identity)
    assert (review.records, review.systems, review.threshold_bits) == (2, 2, 10)
    found = await identity.stub.GetReview(
        pb.GetReviewRequest(tenant_id=TENANT, candidate_id=review.candidate_id)
    )
    names = {side.records[0].fields["family name"] for side in (found.left, found.right)}
    assert names == {"keller", "brandt"}
    assert sum(one.bits for one in found.explanation.fields) == found.explanation.bits


@pytest.mark.parametrize("verdict", ["MERGE", "KEEP_APART", "SKIP"])
async def test_undo_restores_exactly_what_an_answer_changed(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record], verdict: str
) -> None:
    """Entities, groups, keys, who is told apart and the open question are as they were; asked again, too."""
    review = await _doubtful(identity)
    before = await _dump(tables)
    more = {"skip_time": _later()} if verdict == "SKIP" else {}
    done = await _decide(identity, review, verdict, **more)
    assert await _dump(tables) != before
    assert not await _reviews(identity)
    await _undo(identity, done.action)
    assert await _dump(tables) == before
    assert [one.candidate_id for one in await _reviews(identity)] == [review.candidate_id]


async def test_a_merge_moves_the_records_that_the_preview_names(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A dry run changes nothing and says the same as the decision, the winner named included."""
    review = await _doubtful(identity)
    winner = review.candidate.entity_id
    before = await _dump(tables)
    tried = await _decide(identity, review, "MERGE", winner_entity_id=winner, validate_only=True)
    assert await _dump(tables) == before
    done = await _decide(identity, review, "MERGE", winner_entity_id=winner)
    assert list(done.moved_records) == list(tried.moved_records)
    assert (tried.action.action_id, done.action.moved_count) == ("", 1)
    entity = await identity.entity(winner)
    assert {one.record.external_id for one in entity.members} == {"1", "2"}


async def test_what_is_kept_apart_is_never_asked_again(identity: Client) -> None:
    """Also as records come that have both names' profile."""
    review = await _doubtful(identity)
    await _decide(identity, review, "KEEP_APART")
    await identity.resolve(
        record("2", source="erp", linkedin_url="linkedin.com/in/sales", first_name="N", last_name="Brandt")
    )
    assert not await _reviews(identity)
    assert (await identity.entity_of("1")).entity_id != (await identity.entity_of("2", "erp")).entity_id


async def test_a_torn_entity_is_split_and_put_together_again(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """No merge brought the two together: one goes to an entity of its own, the log hears of it, undo brings it back."""
    review = await _torn(identity)
    assert review.candidate.question == pb.CANDIDATE_QUESTION_SPLIT
    home = review.candidate.entity_id
    tried = await _decide(identity, review, "SPLIT", validate_only=True)
    before = await _members(tables)
    done = await _decide(identity, review, "SPLIT")
    assert list(done.moved_records) == list(tried.moved_records)
    one, other = await identity.entity_of("1"), await identity.entity_of("2")
    assert {one.entity_id, other.entity_id} == {home, done.action.other_entity_id}
    assert one.members[0].group_id != other.members[0].group_id
    await identity.log.wait_for(1)
    assert b'"change":"split"' in identity.log.events[-1][1].payload
    await _undo(identity, done.action)
    assert await _members(tables) == before
    assert [again.candidate_id for again in await _reviews(identity)] == [review.candidate_id]


async def test_a_torn_entity_may_stay_one(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """The question is answered, the entity as it was; undone, it is asked again."""
    review = await _torn(identity)
    before = await _dump(tables)
    done = await _decide(identity, review, "KEEP_TOGETHER")
    assert not await _reviews(identity)
    await _undo(identity, done.action)
    assert await _dump(tables) == before


async def test_a_split_undoes_the_merge_that_brought_the_two_together(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """All that the merge moved goes back to the entity that it came from; taken back, all is one again."""
    review = await _doubtful(identity)
    merge = await identity.merge(review.candidate.entity_id, review.candidate.other_entity_id)
    await identity.resolve(record("3", email="k@firm.io", first_name="Nora", last_name="Keller"))
    await tables.execute(
        "UPDATE identity.merge_candidate SET question = 'split', low_id = least(record_id, other_record_id),"
        " high_id = greatest(record_id, other_record_id)"
    )
    before = await _members(tables)
    done = await _decide(identity, review, "SPLIT")
    assert done.action.merge_id == merge.merge_id
    assert done.action.other_entity_id == review.candidate.other_entity_id
    assert len(set((await _members(tables)).values())) == 3
    await _undo(identity, done.action)
    assert await _members(tables) == before


async def test_undo_brings_back_who_was_told_apart_before(
    identity: Client, tables: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A merge against a person's earlier word took that back; undone, it stands again, and no more is told apart."""
    review = await _doubtful(identity)
    merge = await identity.merge(review.candidate.entity_id, review.candidate.other_entity_id)
    await identity.split(merge.merge_id)
    await tables.execute("UPDATE identity.merge_candidate SET close_time = NULL")
    before = await _dump(tables)
    assert before["told_apart"]
    done = await _decide(identity, review, "MERGE")
    assert (await _dump(tables))["told_apart"] != before["told_apart"]
    await _undo(identity, done.action)
    assert await _dump(tables) == before


async def test_a_decision_that_was_overtaken_is_not_taken_back(identity: Client) -> None:
    """Its merge was undone by hand: the undoing is refused and says so."""
    review = await _doubtful(identity)
    done = await _decide(identity, review, "MERGE")
    await identity.split(done.action.merge_id)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _undo(identity, done.action)
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "undone by a split since" in (refused.value.details() or "")


async def test_the_queue_is_read_page_by_page_in_order_of_worth(identity: Client) -> None:
    """No question twice, none left out, and those first on which more hangs."""
    for name in ("a", "b", "c"):
        profile = f"linkedin.com/in/desk-{name}"
        await identity.resolve(
            record(f"{name}1", linkedin_url=profile, first_name="Nora", last_name=f"Keller{name}"),
            record(f"{name}2", source="erp", linkedin_url=profile, first_name="Nora", last_name="Brandt"),
        )
    await identity.resolve(
        record(
            "c3", source="shop", linkedin_url="linkedin.com/in/desk-c", first_name="Nora", last_name="Kellerc"
        )
    )
    whole = await _reviews(identity)
    token, seen = "", list[int]()
    for _ in whole:
        page = await identity.stub.ListReviews(
            pb.ListReviewsRequest(tenant_id=TENANT, page_size=1, page_token=token)
        )
        seen.extend(one.candidate_id for one in page.reviews)
        token = page.next_page_token
    assert not token
    assert seen == [one.candidate_id for one in whole]
    assert len(set(seen)) >= 3
    assert [one.worth for one in whole] == sorted((one.worth for one in whole), reverse=True)


async def test_of_two_who_decide_at_once_one_is_told_what_the_other_decided(identity: Client) -> None:
    """One decision stands; every other caller hears who decided what."""
    review = await _doubtful(identity)
    done: list[pb.ReviewAction] = []
    told: list[str] = []

    async def decide(verdict: str) -> None:
        try:
            done.append((await _decide(identity, review, verdict)).action)
        except grpc.aio.AioRpcError as error:
            told.append(error.details() or "")

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(decide, ("MERGE", "KEEP_APART")[number % 2])
    (stands,) = done
    assert len(told) == 7
    assert all(f"undo that first (action {stands.action_id})" in one for one in told)
    merged = (await identity.entity_of("1")).entity_id == (await identity.entity_of("2", "erp")).entity_id
    assert merged == (stands.kind == pb.REVIEW_ACTION_KIND_MERGE)


async def test_a_request_sent_again_does_nothing_twice(identity: Client) -> None:
    """The same answer for the same id, for decisions, undoings and assignments; another use of it is refused."""
    review = await _doubtful(identity)
    request = str(uuid.uuid4())
    first = await _decide(identity, review, "MERGE", request_id=request)
    again = await _decide(identity, review, "MERGE", request_id=request)
    assert again.action == first.action
    undo = str(uuid.uuid4())
    undone = await _undo(identity, first.action, request_id=undo)
    assert (await _undo(identity, first.action, request_id=undo)).action == undone.action
    for wrong in (
        _decide(identity, review, "KEEP_APART", request_id=request),
        _undo(identity, first.action),
        _undo(identity, undone.action),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await wrong
        assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION


async def test_the_audit_says_who_did_what_and_why(identity: Client) -> None:
    """Assignment, decision and undoing, newest first, page by page; the decision names what undid it."""
    review = await _doubtful(identity)
    await identity.stub.AssignReview(
        pb.AssignReviewRequest(
            tenant_id=TENANT,
            candidate_id=review.candidate_id,
            assignee="kim",
            actor=ACTOR,
            request_id=str(uuid.uuid4()),
        )
    )
    assert [one.assignee for one in await _reviews(identity, assignee="kim")] == ["kim"]
    assert not await _reviews(identity, assignee="somebody-else")
    done = await _decide(identity, review, "MERGE")
    undone = await _undo(identity, done.action, undo_reason="two sisters")
    token = ""
    lines: list[pb.ReviewAction] = []
    for _ in range(3):
        page = await identity.stub.ListReviewActions(
            pb.ListReviewActionsRequest(tenant_id=TENANT, page_size=1, page_token=token)
        )
        lines.extend(page.actions)
        token = page.next_page_token
    assert not token
    assert [(one.actor.id, one.reason) for one in lines] == [
        ("reviewer", "two sisters"),
        ("reviewer", "looked at both"),
        ("reviewer", ""),
    ]
    assert (lines[0].undoes, lines[1].undone_by) == (done.action.action_id, undone.action.action_id)
    assert [one.assignee for one in await _reviews(identity)] == ["kim"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"actor": None},
        {"request_id": ""},
        {"verdict": 0},
        {"verdict": pb.REVIEW_VERDICT_SKIP},
        {"candidate_id": 0},
    ],
)
async def test_a_malformed_decision_is_refused(identity: Client, wrong: dict[str, Any]) -> None:
    """INVALID_ARGUMENT without actor, request id, verdict, moment to ask again, or candidate."""
    right: dict[str, Any] = {
        "tenant_id": TENANT,
        "candidate_id": 1,
        "verdict": pb.REVIEW_VERDICT_MERGE,
        "actor": ACTOR,
        "request_id": str(uuid.uuid4()),
    }
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await identity.stub.DecideReview(pb.DecideReviewRequest(**(right | wrong)))
    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def _members(tables: asyncpg.Connection[asyncpg.Record]) -> dict[str, str]:
    rows = await tables.fetch("SELECT external_id, entity_id::text || group_id::text FROM identity.member")
    return {row[0]: row[1] for row in rows}
