"""A change of the policy before it is made: asked of the sync service with a bar, and drawn as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from headwater.cli.output import table
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.cli.stepping import last_step
from headwater.policy.differences import Difference
from headwater.sync.v1 import policies_pb2 as pb

PREVIEW_TIMEOUT_S: Final = 600.0
"""Longest look ahead; 200,000 entities take some seconds each 10,000."""


async def foresee(session: Session, services: Services, text: str) -> pb.PolicyImpact:
    """Return what the policy *text* would do, with a bar on stderr while it is computed.

    Raises:
        HeadwaterError: what the service said, or that it does not answer.
    """
    request = pb.PreviewPolicyRequest(tenant_id=session.tenant_id, policy_document=text)
    steps = services.policies.PreviewPolicy(request, timeout=PREVIEW_TIMEOUT_S)
    return (await last_step(session, services, steps, "entities under the new policy", "impact")).impact


def difference_table(found: Iterable[Difference]) -> Any:
    """Return differences of two policies, path by path."""
    rows = [(item.change, item.path, item.before, item.after) for item in found]
    return table(("change", "path", "before", "after"), rows) if rows else "no difference"


def impact_tables(impact: pb.PolicyImpact) -> list[Any]:
    """Return what a policy would do, as people read it."""
    drawn: list[Any] = [_sentence(impact)]
    if impact.field_counts:
        rows = sorted(impact.field_counts.items(), key=lambda item: (-item[1], item[0]))
        drawn.append(table(("field", "entities"), rows, title="fields that change"))
    drawn.append(_accounts(impact.accounts))
    return drawn


def _sentence(impact: pb.PolicyImpact) -> str:
    if impact.exact:
        extent = f"{impact.changed_count:,} of {impact.entity_count:,} entities change (exact)"
    else:
        extent = (
            f"about {impact.changed_count:,} of {impact.entity_count:,} entities change "
            f"({impact.changed_count_min:,} to {impact.changed_count_max:,} with 95 % confidence, "
            f"from a sample of {impact.scanned_count:,})"
        )
    return extent + (
        f"; {impact.restated_count:,} keep their values by another rule or record"
        if impact.restated_count
        else ""
    )


def _accounts(accounts: Iterable[pb.AccountImpact]) -> Any:
    names = (
        "account",
        "made due",
        "written",
        "new in the CRM",
        "under way",
        "calls",
        "of what is left today",
        "differ by mapping only",
    )
    rows = [
        (
            item.connector,
            item.delivery_count,
            item.write_count,
            item.create_count,
            item.under_way_count,
            item.call_count,
            f"{item.quota_left_share:.2%} of {item.quota_limit - item.quota_used:,}"
            if item.quota_limit
            else "no limit",
            item.mapping_count,
        )
        for item in accounts
    ]
    return table(names, rows, title="accounts")
