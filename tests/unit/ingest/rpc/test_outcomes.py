"""Outcomes written by hand are the bytes that the generated messages would be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.ingest.domain.event import Disposition, Outcome
from headwater.ingest.rpc.outcomes import write_batch_answer, write_stream_answer
from headwater.ingest.rpc.translate import write_outcome
from headwater.ingest.v1 import ingest_pb2
from headwater.kernel.errors import FieldViolation

PLAIN = st.builds(
    Outcome,
    st.sampled_from([Disposition.ACCEPTED, Disposition.DUPLICATE]),
    st.binary(min_size=16, max_size=16),
)
BROKEN = (FieldViolation("event.payload.email", "x", "format.email", "must be an address"),)
ANY = (
    PLAIN
    | st.builds(
        Outcome, st.just(Disposition.QUARANTINED), st.binary(min_size=16, max_size=16), st.just(BROKEN)
    )
    | st.builds(Outcome, st.just(Disposition.REFUSED), st.none(), st.just(BROKEN), st.just("MALFORMED"))
)
OUTCOMES = st.lists(PLAIN, max_size=30) | st.lists(ANY, max_size=12)


@given(OUTCOMES, st.integers(-(2**63), 2**63 - 1))
def test_the_answer_of_a_stream_is_the_generated_code_s(outcomes: list[Outcome], number: int) -> None:
    """Byte for byte, for any number of the batch."""
    written = [write_outcome(item) for item in outcomes]
    wanted = ingest_pb2.StreamEventsResponse(batch_number=number, outcomes=written)
    assert write_stream_answer(number, outcomes) == wanted.SerializeToString()


@given(OUTCOMES)
def test_the_answer_of_a_batch_is_the_generated_code_s(outcomes: list[Outcome]) -> None:
    """Byte for byte."""
    wanted = ingest_pb2.BatchRecordEventsResponse(outcomes=[write_outcome(item) for item in outcomes])
    assert write_batch_answer(outcomes) == wanted.SerializeToString()
