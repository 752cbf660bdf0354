"""What every connector must do when something breaks: limits, lost answers, faults, odd answers, tokens."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headwater.connectors.base import CallFailed, ErrorClass, Failed, VendorError, Write, Written
from headwater.connectors.base.testing.lab import Lab
from headwater.connectors.base.testing.suite import Suite, proves
from headwater.connectors.base.testing.wire import Fault

DOUBTFUL = {ErrorClass.IN_DOUBT, ErrorClass.PARTIAL}
GIVES_UP_S = 8.0
"""Above every lab's timeout: a vendor that hangs must not hang its caller."""


async def whole_failure(lab: Lab, *writes: Write) -> VendorError:
    """Return the error of an upsert that fails as a whole."""
    with pytest.raises(CallFailed) as failed:
        await lab.write(*writes)
    return failed.value.error


class FaultConformance(Suite):
    """One fault a test; what is not broken must stay whole."""

    @proves("limits", needs=("over_http",))
    @pytest.mark.parametrize("after_s", [7, None])
    async def test_rate_limit_surfaces_with_the_vendors_wish(self, lab: Lab, after_s: int | None) -> None:
        """A 429 or its like is RATE_LIMIT, with Retry-After where it was sent; nothing is retried in here."""
        lab.fault(Fault("busy", retry_after_s=after_s))
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.retry_after_s) == (ErrorClass.RATE_LIMIT, after_s)
        assert lab.gate.calls[-1].facts.retry_after_s == after_s
        await lab.person(1)

    @proves("limits", needs=("limits.daily",))
    async def test_spent_daily_allowance_is_quota(self, lab: Lab) -> None:
        """The day's last call is told apart from a busy window."""
        lab.spend_day()
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert error.error_class is ErrorClass.QUOTA

    @proves("limits", needs=("limits.daily",))
    async def test_limit_headers_reach_the_gate(self, lab: Lab) -> None:
        """Every answer's facts are told to the gate."""
        await lab.person(1)
        facts = lab.gate.calls[-1].facts
        assert facts.daily_used is not None
        assert facts.daily_limit is not None
        assert 0 < facts.daily_used < facts.daily_limit

    @proves("tokens", needs=("tokens",))
    async def test_token_expiry_is_healed_by_one_refresh(self, lab: Lab) -> None:
        """A token that dies between two calls costs one refresh and one resend."""
        await lab.person(1)
        before = len(lab.gate.calls)
        lab.fault(Fault("token_dead"))
        await lab.person(2)
        # a connector may look the record up before it writes
        calls = [call for call in lab.gate.calls[before:] if call.endpoint_class in {"write", "auth"}]
        assert [(call.endpoint_class, call.resend_count) for call in calls] == [
            ("write", 0),
            ("auth", 0),
            ("write", 1),
        ]

    @proves("tokens", needs=("tokens",))
    async def test_token_expiry_in_the_middle_of_a_batch_loses_nothing(self, lab: Lab) -> None:
        """A batch of two calls whose second meets a dead token: every record is written, once."""
        assert lab.wire is not None
        known = await lab.person(1)
        lab.wire.arm(Fault("token_dead", after=1))
        outcomes = await lab.write(
            Write("ext-1", known.crm_id, {lab.subject.text: "second"}),
            Write("ext-2", "", lab.subject.fields(2)),
        )
        assert all(isinstance(outcome, Written) for outcome in outcomes)
        assert lab.count() == 2
        assert (await lab.held("ext-1"))["ext-1"].fields[lab.subject.text] == "second"

    @proves("lost answer", needs=("over_http",))
    async def test_lost_answer_is_in_doubt_and_a_repeat_makes_no_second_record(
        self, patient_lab: Lab
    ) -> None:
        """The write was committed, its answer lost: IN_DOUBT in time, and where it is promised a repeat is safe."""
        lab = patient_lab
        write = Write("ext-1", "", lab.subject.fields(1))
        lab.fault(Fault("lost_answer"))
        began_s = time.monotonic()
        assert (await whole_failure(lab, write)).error_class is ErrorClass.IN_DOUBT
        assert time.monotonic() - began_s < GIVES_UP_S
        vendor = lab.subject.vendor
        if vendor.in_doubt[vendor.write_kind(lab.subject.person, write)].repeat_safe:
            assert isinstance((await lab.write(write))[0], Written)
        assert lab.count() == 1

    @proves("lost answer", needs=("over_http", "look_up"))
    async def test_lost_answer_is_found_by_a_look_up(self, patient_lab: Lab) -> None:
        """Whoever looks after a lost answer sees the write."""
        patient_lab.fault(Fault("lost_answer"))
        await whole_failure(patient_lab, Write("ext-1", "", patient_lab.subject.fields(1)))
        assert list(await patient_lab.found("ext-1")) == ["ext-1"]

    @proves("lost answer", needs=("over_http", "look_up"))
    async def test_a_promised_repeat_of_an_update_changes_nothing(self, lab: Lab) -> None:
        """An update whose answer was lost, sent again unasked, leaves one record as it is."""
        known = await lab.person(1)
        write = Write("ext-1", known.crm_id, {**lab.subject.fields(1), lab.subject.text: "second"})
        kind = lab.subject.vendor.write_kind(lab.subject.person, write)
        assert lab.subject.vendor.in_doubt[kind].repeat_safe
        lab.fault(Fault("lost_answer"))
        assert (await whole_failure(lab, write)).error_class is ErrorClass.IN_DOUBT
        [outcome] = await lab.write(write)
        assert isinstance(outcome, Written)
        assert not outcome.created
        assert (lab.count(), lab.effects()[-1]) == (1, "unchanged")

    @proves("lost answer", needs=("over_http",))
    async def test_hang_is_in_doubt(self, patient_lab: Lab) -> None:
        """A vendor that never works and never answers: a doubt, resolved to no where it can be asked."""
        lab = patient_lab
        lab.fault(Fault("hang"))
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.code) == (ErrorClass.IN_DOUBT, "TIMEOUT")
        assert await lab.found("ext-1") == {}

    @proves("errors", needs=("over_http",))
    @pytest.mark.parametrize(
        ("kind", "status", "expected"),
        [
            ("server", 503, ErrorClass.SERVER),
            ("server", 500, ErrorClass.SERVER),
            ("server", 504, ErrorClass.IN_DOUBT),
            ("html", 503, ErrorClass.SERVER),
            ("html", 502, ErrorClass.IN_DOUBT),
        ],
    )
    async def test_server_faults_are_told_apart(
        self, lab: Lab, kind: Any, status: int, expected: ErrorClass
    ) -> None:
        """Faults of the vendor are SERVER, a gateway's word about a write is a doubt; HTML is readable."""
        lab.fault(Fault(kind, status=status))
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.http_status) == (expected, status)
        assert "<" not in error.message

    @proves("errors", needs=("over_http",))
    async def test_unreachable_vendor_is_network_not_doubt(self, lab: Lab) -> None:
        """Nobody listens: certainly not applied."""
        assert lab.nobody is not None
        with pytest.raises(CallFailed) as failed:
            await lab.nobody.upsert(lab.subject.person, [Write("ext-1", "", lab.subject.fields(1))])
        assert failed.value.error.error_class is ErrorClass.NETWORK

    @proves("partial batch", needs=("schema_discovery", "over_http"))
    async def test_vendor_faults_of_single_records_can_be_retried(self, lab: Lab) -> None:
        """Where the vendor fails some records of a batch, exactly those are SERVER, and a retry heals them."""
        lab.fail_some()
        writes = [Write(f"ext-{number}", "", lab.subject.fields(number)) for number in range(10)]
        outcomes = await lab.write(*writes)
        again = [one for one, outcome in zip(writes, outcomes, strict=True) if isinstance(outcome, Failed)]
        assert 0 < len(again) < 10
        assert {o.error.error_class for o in outcomes if isinstance(o, Failed)} == {ErrorClass.SERVER}
        assert all(isinstance(outcome, Written) for outcome in await lab.write(*again))
        assert lab.count() == 10

    @proves("partial batch", needs=("over_http", "look_up"))
    async def test_an_answer_that_passes_a_record_over_is_not_taken_for_success(self, lab: Lab) -> None:
        """One result is missing: no outcome names a record that is not its own, and the rest is a doubt."""
        assert lab.wire is not None
        if lab.subject.vendor.capabilities.batch_records_max < 4:
            pytest.skip("answers to single records cannot be incomplete")
        lab.wire.edits.append(self._without_one)
        outcomes = await lab.write(*(Write(f"ext-{n}", "", lab.subject.fields(n)) for n in range(4)))
        lab.wire.edits.clear()
        held = await lab.found(*(f"ext-{n}" for n in range(4)))
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, Written):
                assert outcome.crm_id == held[f"ext-{number}"]
            else:
                assert outcome.error.error_class in DOUBTFUL
        assert lab.count() == 4

    @proves("out-of-order answer", needs=("over_http", "look_up", "!ordered_answers"))
    async def test_results_out_of_order_are_matched_by_id(self, lab: Lab) -> None:
        """The vendor answers backwards: every outcome still names its own record."""
        assert lab.wire is not None
        if lab.subject.vendor.capabilities.batch_records_max < 4:
            pytest.skip("single records have no order")
        lab.wire.edits.append(self._backwards)
        outcomes = await lab.write(*(Write(f"ext-{n}", "", lab.subject.fields(n)) for n in range(4)))
        lab.wire.edits.clear()
        held = await lab.found(*(f"ext-{n}" for n in range(4)))
        told = {f"ext-{n}": o.crm_id for n, o in enumerate(outcomes) if isinstance(o, Written)}
        assert told == held
        assert len(held) == 4

    @proves("schema drift", needs=("over_http", "look_up"))
    async def test_members_of_an_answer_that_nobody_knows_are_passed_over(self, lab: Lab) -> None:
        """A vendor that adds to its answers breaks nothing."""
        assert lab.wire is not None
        lab.wire.edits.append(self._with_more)
        [outcome] = await lab.write(Write("ext-1", "", lab.subject.fields(1)))
        lab.wire.edits.clear()
        assert isinstance(outcome, Written)
        assert await lab.found("ext-1") == {"ext-1": outcome.crm_id}

    @proves("errors", needs=("over_http", "look_up"))
    async def test_a_call_that_fails_after_another_succeeded_spares_what_was_settled(self, lab: Lab) -> None:
        """Of a batch that takes two calls the second is answered by nobody: no record of the first is lost."""
        assert lab.wire is not None
        known = await lab.person(1)
        lab.wire.arm(Fault("server", after=1))
        writes = (
            Write("ext-2", "", lab.subject.fields(2)),
            Write("ext-1", known.crm_id, {lab.subject.text: "x"}),
        )
        if lab.subject.vendor.capabilities.batch_records_max < 2:
            pytest.skip("batches of one record take one call")
        before = len(lab.wire.requests)
        outcomes = await lab.write(*writes)
        if len(lab.wire.requests) - before > 1:
            kinds = [isinstance(outcome, Written) for outcome in outcomes]
            assert sorted(kinds) == [False, True]

    def _without_one(self, body: Any) -> Any:
        results = self.subject.results(body)
        if len(results) > 1:
            results.pop()
        return body

    def _backwards(self, body: Any) -> Any:
        self.subject.results(body).reverse()
        return body

    def _with_more(self, body: Any) -> Any:
        for result in self.subject.results(body):
            if isinstance(result, dict):
                result["addedLater"] = {"deep": [1, None, "x"]}
        if isinstance(body, dict):
            body["addedLater"] = None
        return body
