"""Versions of weights as values: which counts, who made it so, what may be taken back. Pure."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

from headwater.identity.domain.identifying import COMPARED
from headwater.identity.domain.merging import Actor
from headwater.identity.domain.scoring.versions import name_of
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.ids import TenantId

MadeBy = Literal["job", "review", "operator"]
OBJECTS: Final = tuple(sorted(COMPARED))
"""Objects that have weights."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a version was learnt from, and how it did against the one that was active.

    Args:
        held: answers that judged; agreed_before and agreed_after: of them, those that the active and the new one give.
        findings: why it was not made active at once.
    """

    base_version: int
    records: int
    pairs: int
    answers: int
    held: int = 0
    agreed_before: int = 0
    agreed_after: int = 0
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """One version, its body apart."""

    object: str
    number: int
    source: Source
    made_by: MadeBy
    actor: Actor
    create_time: dt.datetime
    active: bool = False


@dataclass(frozen=True, slots=True)
class Activation:
    """One line of the audit: who made which version count in place of which.

    Args:
        undoes: the activation that a rollback took back.
    """

    object: str
    version: int
    previous_version: int
    actor: Actor
    reason: str
    activate_time: dt.datetime
    undoes: int | None = None
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Which version counts for a tenant's object."""

    tenant_id: TenantId
    object: str
    number: int


def refuse_unless_expected(object_name: str, active: int, expected: int) -> None:
    """Refuse what was meant for another state.

    Raises:
        PreconditionFailed: names the version that counts.
    """
    if active != expected:
        raise PreconditionFailed(
            f"{name_of(active)} counts for {object_name}, not {name_of(expected)}: look again",
            reason="WEIGHTS_CHANGED",
            metadata={"object": object_name, "active_version": str(active)},
        )


def target_of_rollback(object_name: str, active: int, standing: Activation | None) -> Activation:
    """Return the activation that a rollback takes back.

    Raises:
        PreconditionFailed: there is none.
    """
    if standing is None or standing.version != active:
        raise PreconditionFailed(
            f"there is no activation of {object_name} to take back: {name_of(active)} counts",
            reason="NOTHING_TO_ROLL_BACK",
            metadata={"object": object_name, "active_version": str(active)},
        )
    return standing
