# ruff: noqa: N802, ARG002 - names and arguments are those of the generated base class
"""The gRPC service of policy versions: reads a request, calls one use case, writes its answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from headwater.kernel.rpc.checks import Checks, write_page_token
from headwater.policy.loading import policy_digest
from headwater.sync.domain.foreseeing import AccountImpact, PolicyImpact
from headwater.sync.domain.impact import terms_of
from headwater.sync.domain.log import Position
from headwater.sync.domain.reaching import Compared, Difference
from headwater.sync.domain.renewing import PolicyVersion
from headwater.sync.domain.rollout import stage_ends
from headwater.sync.rpc.responses import moment_message
from headwater.sync.usecases.versions import Step, Versions
from headwater.sync.v1 import policies_pb2 as pb
from headwater.sync.v1 import policies_pb2_grpc

POLICIES_NAME: Final = pb.DESCRIPTOR.services_by_name["PolicyService"].full_name
_LIST: Final = "policy_versions"
_NEWEST: Final = Position(2**63 - 1, 2**63 - 1)


class PolicyServicer(policies_pb2_grpc.PolicyServiceServicer):
    """Serves `headwater.sync.v1.PolicyService`."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    async def PreviewPolicy(
        self, request: pb.PreviewPolicyRequest, context: Any
    ) -> AsyncIterator[pb.PreviewPolicyResponse]:
        checks = Checks()
        tenant_id, text = checks.tenant(request.tenant_id), request.policy_document
        if not text.strip():
            checks.broken("policy_document", "", "required", "the text of a policy")
        checks.finish()
        async with aclosing(self._versions.preview(tenant_id, text)) as pages:
            async for step in pages:
                yield pb.PreviewPolicyResponse(
                    scanned_count=step.impact.scanned,
                    wanted_count=step.wanted,
                    impact=_impact(step, policy_digest(text)) if step.whole else None,
                )

    async def ListPolicyVersions(
        self, request: pb.ListPolicyVersionsRequest, context: Any
    ) -> pb.ListPolicyVersionsResponse:
        checks = Checks()
        tenant_id, size = checks.tenant(request.tenant_id), checks.page_size(request.page_size)
        before = _place(checks, request.page_token)
        checks.finish()
        found, more = await self._versions.listed(tenant_id, before, size)
        token = write_page_token(_LIST, [str(part) for part in found[-1].position]) if more else ""
        return pb.ListPolicyVersionsResponse(
            versions=[_version(item) for item in found], next_page_token=token
        )


def _place(checks: Checks, token: str) -> Position:
    place = checks.page_token(token, _LIST, 2)
    if place is None:
        return _NEWEST
    if not all(part.isascii() and part.isdigit() and int(part) <= _NEWEST.xid for part in place):
        checks.broken_token(token)
        return _NEWEST
    return Position(int(place[0]), int(place[1]))


def _impact(step: Step, digest: str) -> pb.PolicyImpact:
    impact = step.impact
    least, most = impact.changed_range()
    reach = impact.scaled(impact.firsts.total)
    return pb.PolicyImpact(
        entity_count=impact.total,
        scanned_count=impact.scanned,
        exact=impact.exact,
        changed_count=impact.scaled(impact.changed),
        changed_count_min=least,
        changed_count_max=most,
        restated_count=impact.scaled(impact.restated),
        field_counts={name: impact.scaled(count) for name, count in impact.fields.items()},
        accounts=[_account(impact, item) for item in impact.accounts.values()],
        digest=digest,
        digest_in_force=step.digest_in_force,
        first=[staged_entity(item) for item in impact.first()],
        stage_ends=stage_ends(terms_of(impact.document), reach) if reach else (),
    )


def staged_entity(item: Compared) -> pb.StagedEntity:
    """Return an entity under two policies on the wire."""
    names = sorted({*item.accounts, *item.states})
    return pb.StagedEntity(
        entity_id=str(item.entity_id),
        object=item.object,
        kinds=item.kinds,
        values=[_field(one) for one in item.values],
        accounts=[
            pb.StagedAccount(
                connector=name,
                delivery_state=item.states.get(name, (0, ""))[0],
                error=item.states.get(name, (0, ""))[1],
                fields=[_field(one) for one in item.accounts.get(name, ())],
            )
            for name in names
        ],
    )


def _field(item: Difference) -> pb.StagedField:
    before, after, held = (
        json.dumps(one, ensure_ascii=False) for one in (item.before, item.after, item.held)
    )
    return pb.StagedField(field=item.field, before_json=before, after_json=after, held_json=held)


def _account(impact: PolicyImpact, item: AccountImpact) -> pb.AccountImpact:
    writes, scaled = item.writes, impact.scaled
    return pb.AccountImpact(
        connector=writes.connector,
        delivery_count=scaled(item.deliveries),
        write_count=scaled(writes.records),
        create_count=scaled(writes.creates),
        under_way_count=scaled(writes.under_way),
        call_count=impact.calls(item),
        quota_used=writes.quota_used,
        quota_limit=writes.quota_limit,
        quota_left_share=impact.quota_left_share(item),
        field_counts={name: scaled(count) for name, count in writes.fields.items()},
        mapping_count=scaled(item.mapped),
    )


def _version(item: PolicyVersion) -> pb.PolicyVersion:
    return pb.PolicyVersion(
        event_key=str(item.event_key),
        digest=item.digest,
        version=item.version,
        actor=item.actor,
        record_time=moment_message(item.record_time),
        log_xid=item.position.xid,
        log_seq=item.position.seq,
        state=pb.RenewalState.ValueType(item.state),
        scanned_count=item.scanned,
        changed_count=item.changed,
        restated_count=item.restated,
        late_count=item.late,
        field_counts=item.fields,
        delivery_counts=item.deliveries,
        begin_time=moment_message(item.begin_time),
        end_time=moment_message(item.end_time),
        reason=item.reason,
        staged_digest=item.staged.digest if item.staged else "",
        stage=item.staged.share.stage + 1 if item.staged else 0,
    )
