"""Reviews as values: what is worth a person's time, what may be decided, what an undoing needs. Pure."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headwater.identity.domain.merging import Actor
from headwater.identity.domain.records import RecordId, RecordRef
from headwater.identity.domain.resolving.values import Question
from headwater.identity.domain.scoring.parts import Parts
from headwater.kernel.errors import PreconditionFailed
from headwater.kernel.ids import EntityId

HALVING_BITS: Final = 3.0
"""Each so many bits away from the threshold a review is worth half: there the answer is known."""


class Kind(StrEnum):
    """What was done about a candidate."""

    MERGE = "merge"
    KEEP_APART = "keep_apart"
    SKIP = "skip"
    KEEP_TOGETHER = "keep_together"
    SPLIT = "split"
    UNDO = "undo"
    ASSIGN = "assign"


CLOSING: Final = frozenset({Kind.MERGE, Kind.KEEP_APART, Kind.KEEP_TOGETHER, Kind.SPLIT})
"""Decisions after which the question is answered."""
VERDICTS: Final[Mapping[Question, frozenset[Kind]]] = {
    "merge": frozenset({Kind.MERGE, Kind.KEEP_APART, Kind.SKIP}),
    "split": frozenset({Kind.KEEP_TOGETHER, Kind.SPLIT, Kind.SKIP}),
}
"""What each question can be answered with."""


@dataclass(frozen=True, slots=True)
class Review:
    """A candidate as it is put before a person.

    Args:
        seq: its id.
        records: of both entities; systems: how many sources have one of them.
        weights: version by which it was found.
    """

    seq: int
    question: Question
    object: str
    rule: str
    blocked_by: str
    bits: float
    entity_id: EntityId
    other_entity_id: EntityId
    record_id: RecordId
    other_record_id: RecordId
    ref: RecordRef
    other_ref: RecordRef
    create_time: dt.datetime
    close_time: dt.datetime | None
    skip_time: dt.datetime | None
    assignee: str
    records: int
    systems: int
    weights: int = 0


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Bits at which a question is in the balance."""

    merge_bits: float
    split_bits: float


@dataclass(frozen=True, slots=True)
class Action:
    """One line of the audit: who did what about a candidate, when and why.

    Args:
        entity_id: the entity that stays, the other one of which records go.
        merge_id: the merge that was made or undone.
        undoes: the action that this one undoes; undone_by: the one that undid this.
    """

    action_id: uuid.UUID
    request_id: uuid.UUID
    candidate_seq: int
    kind: Kind
    entity_id: EntityId
    other_entity_id: EntityId
    actor: Actor
    reason: str
    action_time: dt.datetime
    merge_id: uuid.UUID | None = None
    moved_count: int = 0
    skip_time: dt.datetime | None = None
    assignee: str = ""
    undoes: uuid.UUID | None = None
    undone_by: uuid.UUID | None = None
    seq: int = 0


def worth(review: Review, thresholds: Thresholds) -> float:
    """Return the value of an answer: how open the question is, times what hangs on it; above 0."""
    balance = thresholds.merge_bits if review.question == "merge" else thresholds.split_bits
    doubt = math.exp2(-abs(review.bits - balance) / HALVING_BITS)
    return doubt * math.log2(1 + review.records) * review.systems


def by_worth(reviews: Sequence[Review], thresholds: Thresholds) -> list[tuple[float, Review]]:
    """Return reviews with their worth, most first, older first among equals."""
    rated = [(round(worth(one, thresholds), 6), one) for one in reviews]
    return sorted(rated, key=lambda pair: (-pair[0], pair[1].seq))


def refuse_unless_open(review: Review, decided: Action | None) -> None:
    """Refuse to decide what is decided, or asks nothing any more.

    Args:
        decided: the decision that stands.

    Raises:
        PreconditionFailed: names who decided what and when.
    """
    if decided is not None:
        who = decided.actor.display_name or decided.actor.id
        raise PreconditionFailed(
            f"candidate {review.seq} was decided by {who} at {decided.action_time:%Y-%m-%d %H:%M:%SZ}: "
            f"{decided.kind}; undo that first (action {decided.action_id})",
            reason="ALREADY_DECIDED",
            metadata={
                "candidate_id": str(review.seq),
                "action_id": str(decided.action_id),
                "decision": decided.kind.value,
                "actor_id": decided.actor.id,
                "action_time": decided.action_time.isoformat(),
            },
        )
    asks = (review.entity_id != review.other_entity_id) == (review.question == "merge")
    if review.close_time is not None or not asks:
        raise PreconditionFailed(
            f"candidate {review.seq} asks nothing any more: its records were merged or split since",
            reason="NOTHING_TO_DECIDE",
            metadata={"candidate_id": str(review.seq)},
        )


def refuse_unless_fits(review: Review, kind: Kind) -> None:
    """Refuse an answer to another question.

    Raises:
        PreconditionFailed: names the answers that fit.
    """
    if kind not in VERDICTS[review.question]:
        fitting = ", ".join(sorted(VERDICTS[review.question]))
        raise PreconditionFailed(
            f"candidate {review.seq} asks whether to {review.question}: {kind} is no answer; {fitting} are",
            reason="VERDICT_DOES_NOT_FIT",
            metadata={"candidate_id": str(review.seq), "question": review.question},
        )


def refuse_unless_undoable(action: Action) -> None:
    """Refuse to undo what is undone, or what decided nothing.

    Raises:
        PreconditionFailed: says which.
    """
    if action.kind in {Kind.UNDO, Kind.ASSIGN}:
        raise PreconditionFailed(
            f"action {action.action_id} is no decision ({action.kind}): decide or assign anew",
            reason="NOT_UNDOABLE",
        )
    if action.undone_by is not None:
        raise PreconditionFailed(
            f"action {action.action_id} was undone already (action {action.undone_by})",
            reason="ALREADY_UNDONE",
            metadata={"undone_by": str(action.undone_by)},
        )


def refuse_unless_repeated(done: Action, *, candidate_seq: int, kind: Kind) -> None:
    """Refuse a request id that was used for something else.

    Raises:
        PreconditionFailed: says for what.
    """
    if (done.candidate_seq, done.kind) != (candidate_seq, kind):
        raise PreconditionFailed(
            f"request {done.request_id} was a {done.kind} of candidate {done.candidate_seq} before",
            reason="REQUEST_ID_REUSED",
            metadata={"action_id": str(done.action_id)},
        )


def part(
    records: Sequence[RecordId],
    first: RecordId,
    second: RecordId,
    bits: Callable[[RecordId, RecordId], float],
) -> list[RecordId]:
    """Return the records that leave when an entity is split between two of them: the smaller side, the second's if equal.

    Args:
        records: of the entity, in the order in which they were resolved.
        bits: of a pair.
    """
    ours, theirs = [first], [second]
    for record in records:
        if record in {first, second}:
            continue
        nearer = theirs if bits(record, second) > bits(record, first) else ours
        nearer.append(record)
    return theirs if len(theirs) <= len(ours) else ours


def shown(parts: Parts) -> dict[str, str]:
    """Return what is known of a record as fields for people, those without a value left out."""
    fields = {
        "given name": parts.given,
        "family name": parts.family,
        "generation": parts.generation,
        "organisation": parts.organisation,
        "mail": ", ".join(one.address for one in parts.mailboxes),
        "phone": ", ".join(parts.phones),
        "linkedin": parts.linkedin,
        "domain": ", ".join(parts.domains),
        "street": f"{parts.street} {parts.house}".strip(),
        "city": parts.city,
        "state": parts.state,
        "country": parts.country,
        **parts.texts,
        **parts.codes,
        **parts.numbers,
    }
    return {name: value for name, value in fields.items() if value}
