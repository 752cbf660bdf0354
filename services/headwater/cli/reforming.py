"""Changing the policy in force: what that would do, doing it, and finding the version to go back to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from headwater.cli.foreseeing import difference_table, foresee, impact_tables
from headwater.cli.output import Output, table
from headwater.cli.plain import moment, plain
from headwater.cli.policies import AppliedPolicy, apply_policy, policy_in_force
from headwater.cli.services import Services
from headwater.cli.session import Session
from headwater.kernel.clock import SystemClock
from headwater.kernel.errors import HeadwaterError, NotFound, PreconditionFailed
from headwater.policy.differences import Difference, differences
from headwater.policy.loading import load_policy, policy_digest
from headwater.sync.v1 import policies_pb2 as pb


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a change of the policy would do.

    Args:
        impact: None where it is not known: there is no policy yet, or *unknown* says why.
    """

    difference: Sequence[Difference]
    impact: pb.PolicyImpact | None
    unknown: str = ""

    @property
    def document(self) -> dict[str, Any]:
        """What programs read."""
        return {
            "difference": [asdict(item) for item in self.difference],
            "impact": plain(self.impact) if self.impact is not None else None,
            "impact_missing_reason": self.unknown,
        }

    def show(self, output: Output) -> None:
        """Print it for people, before anything is done; programs get it with the result."""
        if output.as_json:
            return
        shown: list[Any] = [difference_table(self.difference)]
        if self.impact is not None:
            shown += impact_tables(self.impact)
        output.result({}, *shown)
        if self.unknown:
            output.say(f"what it would change is not known: {self.unknown}")


async def look_ahead(session: Session, services: Services, text: str) -> Foreseen:
    """Return what the policy *text* would change, as far as that can be said. Raises: PolicyRefused."""
    load_policy(text)
    found = await policy_difference(services, session.tenant_id, text)
    try:
        return Foreseen(found, await foresee(session, services, text))
    except NotFound as error:  # the first policy: there is nothing that it could change
        return Foreseen(found, None, error.message)
    except HeadwaterError as error:  # the log takes the policy all the same
        return Foreseen(found, None, error.message)


async def policy_difference(services: Services, tenant_id: str, text: str) -> list[Difference]:
    """Return what *text* changes in the policy in force, defaults filled in. Raises: PolicyRefused."""
    after = load_policy(text).as_json()
    try:
        before = (await policy_in_force(services, tenant_id)).document().as_json()
    except NotFound:
        before = {}
    return list(differences(before, after))


async def put_in_force(session: Session, services: Services, text: str) -> tuple[dict[str, Any], str]:
    """Put *text* in force; return that for programs and in one sentence."""
    key, changed = await apply_policy(
        services, session.tenant_id, text, clock=SystemClock(), actor=session.actor
    )
    digest = policy_digest(text)
    document = {"tenant_id": session.tenant_id, "digest": digest, "event_key": key, "changed": changed}
    said = "in force; entities follow: headwater policy versions" if changed else "was in force already"
    return document, f"{digest} {said} (tenant {session.tenant_id}, event {key})"


def earlier_version(history: Sequence[AppliedPolicy], digest: str) -> AppliedPolicy:
    """Return the version to go back to: the newest with *digest*, or the one before the one in force.

    Raises:
        NotFound: there is none.
        PreconditionFailed: it is in force.
    """
    if not history:
        raise NotFound("there is no policy yet", reason="NO_POLICY")
    in_force = history[0].digest
    if history[0].staged_digest and digest in {"", in_force}:
        return history[0]  # the one before the change that is staged
    if digest == in_force:
        raise PreconditionFailed(f"{digest} is in force", reason="IN_FORCE")
    for item in history[1:]:
        if item.digest == digest or (not digest and item.digest != in_force):
            return item
    wanted = f"no version with digest {digest}" if digest else "no version before the one in force"
    raise NotFound(wanted, reason="UNKNOWN_VERSION")


def versions_table(versions: Iterable[pb.PolicyVersion]) -> Any:
    """Return versions as a table."""
    names = ("recorded", "digest", "version", "by", "entities", "looked at", "changed", "made due", "why")
    rows = [
        (
            moment(item.record_time),
            item.digest,
            item.version if not item.stage else f"{item.version}, stage {item.stage} of {item.staged_digest}",
            item.actor,
            pb.RenewalState.Name(item.state).removeprefix("RENEWAL_STATE_").lower(),
            item.scanned_count,
            item.changed_count,
            ", ".join(f"{name} {count:,}" for name, count in sorted(item.delivery_counts.items())),
            item.reason,
        )
        for item in versions
    ]
    return table(names, rows)
