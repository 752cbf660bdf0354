"""Records that come after a person split an entity, through the running service."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from tests.integration.identity.conftest import ACTOR, Client, record

from headwater.identity.v1 import identity_pb2 as pb

pytestmark = pytest.mark.anyio

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Santanov"}
MORE: dict[str, Any] = {"company": "Acorn Freight", "city": "London", "phone": "+12125557812"}


async def _halves(identity: Client, first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    """Let a person merge two entities, a record of both come, and the person split them again."""
    one, two = await identity.resolve(
        record("1", email="a@one.io", first_name="Zed", last_name="Quill"),
        record("2", email="b@two.io", first_name="Yan", last_name="Brunnel"),
    )
    merge = await identity.merge(one.entity_id, two.entity_id)
    await identity.split(merge.merge_id)
    await identity.resolve(record("1", **first), record("2", **second))
    return one.entity_id, two.entity_id


async def test_a_late_record_goes_to_the_loser_when_it_matches_it_better(identity: Client) -> None:
    """Both halves have its mailbox and name; the restored one has its firm, town and number as well."""
    winner, loser = await _halves(
        identity, {"email": "ann@firm.io", **ANN}, {"email": "ann@firm.io", **ANN, **MORE}
    )
    (late,) = await identity.resolve(record("3", email="ann@firm.io", **ANN, **MORE))
    assert (late.entity_id, late.kind) == (loser, pb.RESOLUTION_KIND_MATCHED)
    groups = {(await identity.entity(one)).members[0].group_id for one in (winner, loser)}
    assert len(groups) == 2


async def test_a_late_record_of_either_half_is_put_before_a_person(identity: Client) -> None:
    """It stands alone until somebody says which one it is; then it is that one's, and the halves are still two."""
    told: dict[str, Any] = {"email": "ann@firm.io", **ANN}
    winner, loser = await _halves(identity, told, told)
    (late,) = await identity.resolve(record("3", **told))
    assert late.kind == pb.RESOLUTION_KIND_CREATED
    reviews = (await identity.stub.ListReviews(pb.ListReviewsRequest(tenant_id=identity.tenant))).reviews
    asked = {
        frozenset((one.candidate.entity_id, one.candidate.other_entity_id)): one
        for one in reviews
        if one.candidate.blocked_by == "either_of_two"
    }
    assert asked.keys() == {frozenset((late.entity_id, winner)), frozenset((late.entity_id, loser))}
    question = asked[frozenset((late.entity_id, loser))]
    await identity.stub.DecideReview(
        pb.DecideReviewRequest(
            tenant_id=identity.tenant,
            candidate_id=question.candidate_id,
            verdict=pb.REVIEW_VERDICT_MERGE,
            winner_entity_id=loser,
            actor=ACTOR,
            request_id=str(uuid.uuid4()),
        )
    )
    assert (await identity.entity_of("3")).entity_id == loser
    homes = [(await identity.entity_of(name)).members[0].group_id for name in ("1", "2")]
    assert homes[0] != homes[1]
    assert (await identity.entity_of("1")).entity_id == winner
