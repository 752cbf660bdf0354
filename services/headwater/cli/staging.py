"""Staged policy changes as commands show them: the entities reached first, each field before and after, by account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from headwater.cli.foreseeing import foresee, impact_tables
from headwater.cli.output import table
from headwater.cli.plain import plain
from headwater.cli.policies import policy_in_force
from headwater.cli.rolling import VALUE_CHARS_MAX, findings_of, rollouts_table, stages_table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.sync.v1 import policies_pb2, sync_pb2
from headwater.sync.v1 import rollouts_pb2 as pb

LOOKED_BACK = 200
"""Rollouts among which the newest change of values is looked for."""


async def look_ahead_staged(
    session: Session, services: Services, wish: pb.RolloutWish, found: pb.PreviewRolloutResponse
) -> None:
    """Show what a staged change would do: impact and quota by account, stages, the first entities, findings."""
    impact = await foresee(session, services, wish.policy_document)
    shown: list[Any] = impact_tables(impact)
    shown.append(
        f"stages: {' -> '.join(f'{end:,}' for end in impact.stage_ends) or 'none: no entity differs'}"
    )
    shown.extend(entities_tables(impact.first))
    findings, left = findings_of(found.forecasts)
    shown.extend(findings)
    document = plain(found) | {"impact": plain(impact), "dry_run": True}
    said = f"nothing was changed; {left}add --yes to begin with the first stage"
    session.output.result(document, *shown, said)


async def show_status(session: Session, services: Services) -> None:
    """Print the policy in force, the change that is staged or was last, its stages and its first entities."""
    in_force = await policy_in_force(services, session.tenant_id)
    versions = await services.ask(
        services.policies.ListPolicyVersions,
        policies_pb2.ListPolicyVersionsRequest(tenant_id=session.tenant_id, page_size=1),
    )
    newest = versions.versions[0] if versions.versions else policies_pb2.PolicyVersion()
    listed = await services.ask(
        services.rollouts.ListRollouts,
        pb.ListRolloutsRequest(tenant_id=session.tenant_id, page_size=LOOKED_BACK),
    )
    change = next((item for item in listed.rollouts if item.kind == pb.ROLLOUT_KIND_VALUES), None)
    state = policies_pb2.RenewalState.Name(newest.state).removeprefix("RENEWAL_STATE_").lower()
    document: dict[str, Any] = {
        "digest": in_force.digest,
        "staged_digest": in_force.staged_digest,
        "stage": in_force.stage,
        "entities": state,
        "change": None,
    }
    said = f"{in_force.digest} in force, entities {state}"
    if in_force.staged_digest:
        said += f"; {in_force.staged_digest} is staged, stage {in_force.stage}"
    shown: list[Any] = [said]
    if change is None:
        shown.append("no change was staged")
    else:
        request = pb.GetRolloutRequest(tenant_id=session.tenant_id, rollout_id=change.rollout_id)
        found = await services.ask(services.rollouts.GetRollout, request)
        document["change"] = plain(found)
        shown += [
            rollouts_table([found.rollout]),
            stages_table(found.stages),
            *entities_tables(found.entities),
        ]
    session.output.result(document, *shown)


def entities_tables(entities: Iterable[policies_pb2.StagedEntity]) -> list[Any]:
    """Return the first entities of a staged change as tables: what changes of each, and what each CRM has."""
    rows: list[tuple[str, ...]] = []
    for item in entities:
        rows += [(item.entity_id, item.object, "", one.field, *_values(one), "") for one in item.values]
        for account in item.accounts:
            state = (
                sync_pb2.DeliveryState.Name(sync_pb2.DeliveryState.ValueType(account.delivery_state))
                .removeprefix("DELIVERY_STATE_")
                .lower()
            )
            stands = (state if account.delivery_state else "not delivered") + (
                f": {account.error}" if account.error else ""
            )
            rows += [
                (item.entity_id, item.object, account.connector, one.field, *_values(one), stands)
                for one in account.fields
            ]
    names = ("entity", "object", "account", "field", "before", "after", "held now", "delivery")
    return [table(names, rows, title="reached first")] if rows else []


def _values(one: policies_pb2.StagedField) -> tuple[str, str, str]:
    before, after, held = (_cut(text) for text in (one.before_json, one.after_json, one.held_json))
    return before, after, held


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…"
