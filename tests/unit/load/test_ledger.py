"""The kill run's oracle: passes a sound table, and names each planted fault."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from tests.load.ingest.facts import TENANT, VARIANTS, payload
from tests.load.ingest.ledger import ACCEPTED, ANSWER, DUPLICATE, VERSIONS, Row, Told, Verdict, judge

SENT = 150
REFUSED = 4


def journal(*answers: tuple[int, int]) -> bytes:
    """Return a journal of answers."""
    return b"".join(ANSWER.pack(*answer) for answer in answers)


def row(number: int, run: str = "k0") -> Row:
    """Return the row of an event as it was sent."""
    digest = hashlib.md5(payload(number % VARIANTS)).hexdigest()  # noqa: S324
    return Row(TENANT, f"{run}-{number // VERSIONS:010d}", f"v{number % VERSIONS}", digest)


def sound() -> tuple[dict[str, Told], list[Row]]:
    """Return two senders and a table in which every event stands once."""
    answers = journal(*((number, ACCEPTED) for number in range(SENT)), (3, DUPLICATE), (3, DUPLICATE))
    told = {run: Told.read(SENT, answers) for run in ("k0", "k1")}
    return told, [row(number, run) for run in told for number in range(SENT)]


def test_sound_table_passes() -> None:
    """Everything acknowledged is there once, repeats and all."""
    verdict = judge(*sound())
    assert verdict.sound
    assert (verdict.sent, verdict.acknowledged, verdict.stored) == (2 * SENT, 2 * SENT, 2 * SENT)


def test_planted_loss_is_caught() -> None:
    """One acknowledged event without its row is lost."""
    told, rows = sound()
    rows.remove(row(77, "k1"))
    verdict = judge(told, rows)
    assert (verdict.lost, verdict.sound) == (1, False)
    assert verdict.examples == ["lost: k1 event 77 (rows 0, accepted 1)"]


def test_planted_doubling_is_caught() -> None:
    """Two rows of one external id and version are a doubling, whatever their keys."""
    told, rows = sound()
    verdict = judge(told, [*rows, row(12)])
    assert (verdict.doubled, verdict.lost, verdict.sound) == (1, 0, False)


def test_other_version_of_the_same_record_is_no_doubling() -> None:
    """Versions of a record are events of their own: one lost and one doubled do not cancel out."""
    told, rows = sound()
    rows.remove(row(4))
    verdict = judge(told, [*rows, row(5)])
    assert (verdict.lost, verdict.doubled) == (1, 1)


def test_row_that_nobody_sent_is_caught() -> None:
    """A row of an unknown sender, number or form is a phantom."""
    told, rows = sound()
    strange = [row(0, "k9"), row(SENT + 2), Row(TENANT, "odd", "", ""), row(1)._replace(tenant_id="other")]
    assert judge(told, [*rows, *strange]).phantom == len(strange)


def test_changed_payload_is_caught() -> None:
    """The row holds what was sent, byte for byte."""
    told, rows = sound()
    rows[3] = rows[3]._replace(payload_md5="0" * 32)
    assert judge(told, rows).changed == 1


def test_second_acceptance_of_one_event_is_caught() -> None:
    """A sender that is told ACCEPTED twice counts the event twice."""
    told, rows = sound()
    told["k0"] = Told.read(SENT, journal(*((n, ACCEPTED) for n in range(SENT)), (9, ACCEPTED)))
    assert judge(told, rows).accepted_twice == 1


def test_event_answered_only_as_duplicate_is_acknowledged() -> None:
    """When the first answer was lost with the connection, DUPLICATE is the acknowledgement."""
    told, rows = sound()
    told["k0"] = Told.read(SENT, journal(*((n, DUPLICATE) for n in range(SENT))))
    assert judge(told, rows).sound
    rows.remove(row(9))
    assert judge(told, rows).lost == 1


def test_event_without_an_answer_is_named() -> None:
    """A sender that stopped asking is a fault of the run; its row, there or not, is no loss."""
    told, rows = sound()
    told["k0"] = Told.read(SENT, journal(*((n, ACCEPTED) for n in range(SENT - 1))))
    verdict = judge(told, rows)
    assert (verdict.unanswered, verdict.lost) == (1, 0)


def test_refusal_is_strange() -> None:
    """No sound event may be refused or quarantined."""
    told = Told.read(SENT, journal((0, ACCEPTED), (1, REFUSED)))
    assert told.strange == 1


def test_torn_last_answer_is_left_out() -> None:
    """Half a record says nothing."""
    told = Told.read(SENT, journal((0, ACCEPTED), (1, ACCEPTED))[:-2])
    assert (told.accepted[0], told.accepted[1], told.strange) == (1, 0, 0)


@pytest.mark.parametrize(
    "fault", ["lost", "doubled", "accepted_twice", "phantom", "changed", "unanswered", "strange"]
)
def test_any_fault_makes_a_verdict_unsound(fault: str) -> None:
    """No kind of fault is forgotten in the sum."""
    assert Verdict().sound
    assert not replace(Verdict(), **{fault: 1}).sound  # type: ignore[arg-type]
