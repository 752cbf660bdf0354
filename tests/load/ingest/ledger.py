"""What senders were told against what the table holds: exactly once by (tenant, external id, version). Pure.

Knows nothing of event keys, hashes or the service: only of what was sent, the answers on disk, and rows.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.load.ingest.facts import TENANT, VARIANTS, payload

VERSIONS: Final = 4
"""Events of one record, each a version."""
ACCEPTED: Final = 1
DUPLICATE: Final = 2
ANSWER: Final = struct.Struct("<IB")
"""One answer in a sender's journal: number of the event, disposition of the wire contract."""
EXAMPLES_MAX: Final = 5


class Row(NamedTuple):
    """One event as the table holds it."""

    tenant_id: str
    external_id: str
    version: str
    payload_md5: str


@dataclass(slots=True)
class Told:
    """One sender's side: numbers 0..sent-1 were sent, some several times.

    Args:
        accepted, duplicate: number of answers of each kind, by number of the event, up to 255.
        strange: answers of other kinds.
    """

    sent: int
    accepted: bytearray
    duplicate: bytearray
    strange: int = 0

    @classmethod
    def read(cls, sent: int, journal: bytes) -> Told:
        """Return what a journal says; a torn last record is left out, its sender was told nothing more."""
        told = cls(sent, bytearray(sent), bytearray(sent))
        whole = len(journal) - len(journal) % ANSWER.size
        for number, disposition in ANSWER.iter_unpack(journal[:whole]):
            kind = {ACCEPTED: told.accepted, DUPLICATE: told.duplicate}.get(disposition)
            if kind is None or number >= sent:
                told.strange += 1
            else:
                kind[number] = min(255, kind[number] + 1)
        return told


@dataclass(slots=True)
class Verdict:
    """What was found; all zero but the first three when every promise was kept.

    Args:
        lost: acknowledged and not in the table.
        doubled: in the table more than once.
        accepted_twice: answered ACCEPTED more than once: the sender counted it twice.
        phantom: in the table and never sent.
        changed: in the table with another payload than was sent.
        unanswered: sent and never answered.
        strange: answered neither ACCEPTED nor DUPLICATE.
    """

    sent: int = 0
    acknowledged: int = 0
    stored: int = 0
    lost: int = 0
    doubled: int = 0
    accepted_twice: int = 0
    phantom: int = 0
    changed: int = 0
    unanswered: int = 0
    strange: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing was lost, doubled, changed or made up, and every event has its answer."""
        return not (
            self.lost + self.doubled + self.accepted_twice + self.phantom
            + self.changed + self.unanswered + self.strange
        )  # fmt: skip

    def note(self, example: str) -> None:
        """Keep an example, of the first few."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(example)


def judge(told: Mapping[str, Told], rows: Iterable[Row]) -> Verdict:
    """Hold what the senders were told against the rows.

    Args:
        told: run of a sender to its side.
        rows: every event of the load, in any order.
    """
    verdict = Verdict()
    found = {run: bytearray(side.sent) for run, side in told.items()}
    wanted = _digests()
    for row in rows:
        verdict.stored += 1
        run, number = _number_of(row)
        if row.tenant_id != TENANT or run not in found or not 0 <= number < len(found[run]):
            verdict.phantom += 1
            verdict.note(f"never sent: {row}")
            continue
        found[run][number] = min(255, found[run][number] + 1)
        if row.payload_md5 != wanted[number % VARIANTS]:
            verdict.changed += 1
            verdict.note(f"another payload: {row}")
    for run, side in told.items():
        _compare(verdict, run, side, found[run])
    return verdict


def _compare(verdict: Verdict, run: str, side: Told, times: bytearray) -> None:
    verdict.sent += side.sent
    verdict.strange += side.strange
    for number, (accepted, duplicate, stored) in enumerate(
        zip(side.accepted, side.duplicate, times, strict=True)
    ):
        answered = accepted or duplicate
        verdict.acknowledged += bool(answered)
        if answered and stored == 1 and accepted <= 1:
            continue
        for wrong, name in _faults(accepted, duplicate, stored):
            setattr(verdict, name, getattr(verdict, name) + wrong)
            verdict.note(f"{name}: {run} event {number} (rows {stored}, accepted {accepted})")


def _faults(accepted: int, duplicate: int, stored: int) -> Iterator[tuple[int, str]]:
    if not (accepted or duplicate):
        yield 1, "unanswered"
    elif not stored:
        yield 1, "lost"
    if stored > 1:
        yield 1, "doubled"
    if accepted > 1:
        yield 1, "accepted_twice"


def _number_of(row: Row) -> tuple[str, int]:
    run, _, record = row.external_id.rpartition("-")
    if not record.isdigit() or row.version[:1] != "v" or not row.version[1:].isdigit():
        return "", -1
    return run, int(record) * VERSIONS + int(row.version[1:])


def _digests() -> Sequence[str]:
    return [hashlib.md5(payload(variant)).hexdigest() for variant in range(VARIANTS)]  # noqa: S324 - compared, not trusted
