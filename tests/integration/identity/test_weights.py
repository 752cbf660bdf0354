"""Weights as live data, through running services: learnt, proposed, made to count, taken back, heard of by all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import asyncpg
import grpc
import pytest
from tests.integration.identity.conftest import (
    ACTOR,
    TENANT,
    Client,
    client_of,
    record,
)

from headwater.event.v1 import event_pb2
from headwater.identity.domain.identifying import identify
from headwater.identity.domain.scoring.priors import VERSION as SHIPPED
from headwater.identity.domain.scoring.priors import shipped
from headwater.identity.domain.scoring.scores import score_bits
from headwater.identity.domain.scoring.soundness import read_weights
from headwater.identity.v1 import identity_pb2, weights_pb2_grpc
from headwater.identity.v1 import weights_pb2 as pb
from headwater.kernel.rpc import open_channel

pytestmark = pytest.mark.anyio

ANN: dict[str, Any] = {"first_name": "Ann", "last_name": "Lee", "email": "ann@firm.io", "city": "Paris"}


@pytest.fixture
async def weights(identity: Client) -> AsyncIterator[weights_pb2_grpc.WeightsServiceAsyncStub]:
    """The running service's weights, reached over gRPC."""
    async with open_channel(identity.address) as channel:
        yield weights_pb2_grpc.WeightsServiceStub(channel)


async def _fill(identity: Client, people: int = 80) -> None:
    """Let people be there twice, with one profile each; most live in two cities."""
    await identity.resolve(
        *(
            record(
                f"{n}",
                first_name=f"N{'abcdefghij'[n // 2 % 10]}{n // 20}a",
                last_name=f"F{n // 2}b",
                linkedin_url=f"linkedin.com/in/person-{n // 2}x",
                city="London" if n % 2 else "Paris",
            )
            for n in range(2 * people)
        )
    )


async def _learn(
    weights: weights_pb2_grpc.WeightsServiceAsyncStub, **wish: Any
) -> tuple[list[str], list[pb.LearningResult]]:
    """Learn; return the stages that were told, and the results."""
    request = pb.LearnWeightsRequest(tenant_id=TENANT, actor=ACTOR, **wish)
    stages: list[str] = []
    results: list[pb.LearningResult] = []
    async for one in weights.LearnWeights(request, timeout=60):
        if one.HasField("result"):
            results.append(one.result)
        else:
            stages.append(one.progress.stage)
    return stages, results


async def _activate(
    weights: weights_pb2_grpc.WeightsServiceAsyncStub, version: int = 1
) -> pb.ActivateWeightsResponse:
    return await weights.ActivateWeights(
        pb.ActivateWeightsRequest(tenant_id=TENANT, object="contact", version=version, actor=ACTOR)
    )


async def _roll_back(
    weights: weights_pb2_grpc.WeightsServiceAsyncStub, version: int = 1
) -> pb.RollbackWeightsResponse:
    return await weights.RollbackWeights(
        pb.RollbackWeightsRequest(tenant_id=TENANT, object="contact", version=version, actor=ACTOR)
    )


async def _versions(weights: weights_pb2_grpc.WeightsServiceAsyncStub) -> list[pb.WeightsVersion]:
    return list((await weights.ListWeights(pb.ListWeightsRequest(tenant_id=TENANT))).versions)


async def _check(identity: Client, **attributes: str) -> float:
    """Return the bits of the best match of a record that is about to be created."""
    request = identity_pb2.CheckDuplicateRequest(tenant_id=TENANT, object="contact", attributes=attributes)
    return (await identity.stub.CheckDuplicate(request)).candidates[0].bits


async def _explain(identity: Client, one: str, other: str) -> identity_pb2.ExplainResponse:
    def ref(name: str) -> event_pb2.RecordRef:
        return event_pb2.RecordRef(source="crm", object="contact", external_id=name)

    return await identity.stub.Explain(
        identity_pb2.ExplainRequest(tenant_id=TENANT, left_record=ref(one), right_record=ref(other))
    )


def _bits(body: bytes, one: dict[str, str], other: dict[str, str]) -> float:
    """Return the bits of two records by stored weights."""
    ours, theirs = identify("contact", one).parts, identify("contact", other).parts
    return score_bits(ours, theirs, read_weights(body, "contact", 1))


async def _body(tables: asyncpg.Connection[asyncpg.Record]) -> bytes:
    return bytes(await tables.fetchval("SELECT body FROM identity.weights WHERE object = 'contact'"))


async def test_a_dry_run_says_what_would_come_of_it_and_keeps_nothing(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """Progress first, then every level's bits before and after; no version."""
    await _fill(identity)
    stages, (found,) = await _learn(weights, validate_only=True)
    assert stages[0] == "reading"
    assert stages[-2:] == ["learning", "learnt"]
    assert (found.source.records, found.source.pairs, found.version) == (160, 80, 0)
    place = next(one for one in found.levels if (one.field, one.level) == ("place", "same city"))
    assert place.bits < place.bits_before - 1
    assert await _versions(weights) == []


async def test_what_is_learnt_counts_once_it_is_activated(
    identity: Client,
    weights: weights_pb2_grpc.WeightsServiceAsyncStub,
    tables: asyncpg.Connection[asyncpg.Record],
) -> None:
    """Proposed, it changes nothing; active, resolves and checks score as the stored body says."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    before = await _check(identity, **ANN)
    ann = identify("contact", ANN).parts
    assert before == score_bits(ann, ann, shipped("contact"))
    _, (found,) = await _learn(weights)
    assert (found.version, found.active) == (1, False)
    assert await _check(identity, **ANN) == before
    await _activate(weights)
    told = _bits(await _body(tables), ANN, ANN)
    assert told != before
    assert await _check(identity, **ANN) == told
    (resolved,) = await identity.resolve(record("ann2", source="erp", **ANN))
    assert resolved.bits == told
    assert await tables.fetchval("SELECT weights FROM identity.edge WHERE bits = $1", told) == 1


async def test_activate_at_once_takes_nothing_that_a_person_should_see(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """Here a level moves beyond the bound: kept as a proposal, with the reason; it does not count."""
    await _fill(identity)
    _, (found,) = await _learn(weights, activate=True)
    far = max(abs(one.bits - one.bits_before) for one in found.levels)
    doubtful = found.outcome == pb.WEIGHTS_OUTCOME_DOUBTFUL
    assert doubtful == (far > identity.settings.learn_moved_bits_max)
    assert found.active is not doubtful
    (version,) = await _versions(weights)
    assert version.active is found.active
    assert bool(version.source.findings) is doubtful


async def test_rolling_back_restores_exactly_what_counted(
    identity: Client,
    weights: weights_pb2_grpc.WeightsServiceAsyncStub,
    tables: asyncpg.Connection[asyncpg.Record],
) -> None:
    """The same bits as before the activation, a line for each in the audit; a repeat takes back nothing more."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    before = await _check(identity, **ANN)
    await _learn(weights)
    await _activate(weights)
    assert await _check(identity, **ANN) != before
    back = await _roll_back(weights)
    assert (back.activation.version, back.activation.rollback) == (0, True)
    assert await _check(identity, **ANN) == before
    with pytest.raises(grpc.aio.AioRpcError) as again:
        await _roll_back(weights)
    assert again.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    shown = await weights.GetWeights(pb.GetWeightsRequest(tenant_id=TENANT, object="contact", version=1))
    assert [(one.version, one.previous_version) for one in shown.activations] == [(0, 1), (1, 0)]
    assert not shown.version.active
    assert await tables.fetchval("SELECT count(*) FROM identity.weights WHERE active") == 0


async def test_activating_what_counts_already_changes_nothing(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """No second line in the audit."""
    await _fill(identity)
    await _learn(weights)
    assert (await _activate(weights)).HasField("activation")
    assert not (await _activate(weights)).HasField("activation")
    assert (await _activate(weights, 0)).activation.previous_version == 1
    assert (await _roll_back(weights, 0)).activation.version == 1


async def test_every_service_hears_of_the_change(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """A second service that would look only in an hour scores with the new weights, and with the old ones again."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    await _learn(weights)
    patient = identity.settings.model_copy(update={"weights_refresh_s": 3_600.0})
    async with client_of(patient, identity.log) as other:
        before = await _check(other, **ANN)
        await _activate(weights)
        after = await _check(identity, **ANN)
        assert after != before
        await _until(other, after)
        await _roll_back(weights)
        await _until(other, before)


async def _until(client: Client, bits: float) -> None:
    """Ask until a check has so many bits."""
    with anyio.fail_after(10):
        while await _check(client, **ANN) != bits:
            pass


async def test_a_service_starts_with_the_weights_that_count(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """Its first answer is by the active version."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    await _learn(weights)
    await _activate(weights)
    async with client_of(identity.settings, identity.log) as other:
        assert await _check(other, **ANN) == await _check(identity, **ANN)


async def test_an_explanation_names_the_version_that_decided(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """A pair scored by the shipped weights is explained by them until it is touched; then by the new ones."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN), record("ann2", **ANN))
    before = await _explain(identity, "ann", "ann2")
    assert before.weights_version == SHIPPED
    await _learn(weights)
    await _activate(weights)
    untouched = await _explain(identity, "ann", "ann2")
    assert (untouched.weights_version, untouched.bits) == (SHIPPED, before.bits)
    await identity.resolve(record("ann3", **ANN))
    touched = await _explain(identity, "ann", "ann2")
    assert touched.weights_version == "learned-1"
    assert sum(one.bits for one in touched.fields) == touched.bits != before.bits


async def test_a_candidate_names_the_version_that_found_it(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """In the list, in the queue and side by side; a rollback does not change by what it was found."""
    await _fill(identity)
    await _learn(weights)
    await _activate(weights)
    page: dict[str, Any] = {"linkedin_url": "linkedin.com/in/sales"}
    await identity.resolve(
        record("n1", first_name="Nora", last_name="Keller", **page),
        record("n2", first_name="Nora", last_name="Brandt", **page),
    )
    await _roll_back(weights)
    (candidate,) = (await identity.candidates()).candidates
    assert candidate.weights_version == "learned-1"
    listed = await identity.stub.ListReviews(identity_pb2.ListReviewsRequest(tenant_id=TENANT))
    (review,) = listed.reviews
    assert review.candidate.weights_version == "learned-1"
    shown = await identity.stub.GetReview(
        identity_pb2.GetReviewRequest(tenant_id=TENANT, candidate_id=review.candidate_id)
    )
    assert shown.explanation.weights_version == "learned-1"
    assert shown.explanation.bits == candidate.bits


async def test_a_bad_body_is_refused_and_what_counts_goes_on_counting(
    identity: Client,
    weights: weights_pb2_grpc.WeightsServiceAsyncStub,
    tables: asyncpg.Connection[asyncpg.Record],
) -> None:
    """The error names version, object and fault."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    before = await _check(identity, **ANN)
    await _learn(weights)
    await tables.execute("UPDATE identity.weights SET body = '{\"version\": 1}'")
    with pytest.raises(grpc.aio.AioRpcError, match="learned-1 of contact cannot be used") as refused:
        await _activate(weights)
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert await _check(identity, **ANN) == before


async def test_a_service_starts_though_the_active_body_is_bad(
    identity: Client,
    weights: weights_pb2_grpc.WeightsServiceAsyncStub,
    tables: asyncpg.Connection[asyncpg.Record],
) -> None:
    """It scores with the shipped weights, and a rollback mends it."""
    await _fill(identity)
    await identity.resolve(record("ann", **ANN))
    before = await _check(identity, **ANN)
    await _learn(weights)
    await _activate(weights)
    await tables.execute("UPDATE identity.weights SET body = 'nothing'")
    async with client_of(identity.settings, identity.log) as other:
        assert await _check(other, **ANN) == before
    await _roll_back(weights)
    assert await _check(identity, **ANN) == before


async def test_a_caller_who_leaves_ends_the_run(
    identity: Client, weights: weights_pb2_grpc.WeightsServiceAsyncStub
) -> None:
    """The process that learns is ended, nothing is kept, and the next run may begin."""
    await _fill(identity)
    call = weights.LearnWeights(pb.LearnWeightsRequest(tenant_id=TENANT, actor=ACTOR), timeout=60)
    async for one in call:
        if one.progress.stage == "learning":
            break
    call.cancel()
    with anyio.fail_after(15):
        while True:
            try:
                _, (found,) = await _learn(weights, validate_only=True)
            except grpc.aio.AioRpcError as busy:
                if busy.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
            else:
                break
    assert found.source.records == 160
    assert await _versions(weights) == []


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ActivateWeightsRequest(tenant_id=TENANT, object="deal", actor=ACTOR), "object"),
        (pb.ActivateWeightsRequest(tenant_id=TENANT, object="contact", version=-1, actor=ACTOR), "version"),
        (pb.ActivateWeightsRequest(tenant_id=TENANT, object="contact"), "actor"),
    ],
)
async def test_a_malformed_request_is_refused(
    weights: weights_pb2_grpc.WeightsServiceAsyncStub, request_: pb.ActivateWeightsRequest, field: str
) -> None:
    """The message names the field."""
    with pytest.raises(grpc.aio.AioRpcError, match=field) as refused:
        await weights.ActivateWeights(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_version_that_is_not_there_is_not_found(
    weights: weights_pb2_grpc.WeightsServiceAsyncStub,
) -> None:
    """To show and to activate."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await _activate(weights, 9)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.aio.AioRpcError) as unseen:
        await weights.GetWeights(pb.GetWeightsRequest(tenant_id=TENANT, object="contact", version=9))
    assert unseen.value.code() is grpc.StatusCode.NOT_FOUND
