"""The conformance suite of the connector port: what every vendor must do, run against a live vendor process.

A vendor's test module subclasses `ConnectorConformance` and says by a `Subject` how its records look.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from tests.contract.connectors.lab import (
    HANG_TIMEOUT_S,
    TRACEPARENT,
    Lab,
    Subject,
    open_lab,
    sandbox_account,
)
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import (
    CallFailed,
    ErrorClass,
    Failed,
    Outcome,
    Reference,
    VendorError,
    Write,
    Written,
)
from headwater.connectors.base.removing import Removable
from headwater.connectors.base.testing import RecordingGate


async def whole_failure(lab: Lab, *writes: Write) -> VendorError:
    """Return the error of an upsert that fails as a whole."""
    with pytest.raises(CallFailed) as failed:
        await lab.write(*writes)
    return failed.value.error


def failure(outcome: Outcome) -> VendorError:
    """Return the error of a failed outcome."""
    assert isinstance(outcome, Failed)
    return outcome.error


class ConnectorConformance:
    """What the port promises, one behaviour per test; `lab` is an empty, prepared account."""

    subject: Subject

    async def test_prepare_is_idempotent(self, lab: Lab) -> None:
        """A second preparation finds everything in place and creates nothing."""
        calls = len(lab.gate.calls)
        report = await lab.connector.prepare([lab.subject.person])
        assert report.ok
        assert {call.endpoint_class for call in lab.gate.calls[calls:]} == {"read"}

    async def test_prepare_reports_unknown_fields(self, lab: Lab) -> None:
        """A field that is not there is told by its name, not created."""
        person = lab.subject.person
        report = await lab.connector.prepare([replace(person, fields=(*person.fields, "NoSuch"))])
        assert (report.ok, "NoSuch" in " ".join(report.findings)) == (False, True)

    async def test_upsert_twice_changes_nothing_the_second_time(self, lab: Lab) -> None:
        """The same write again: same record, not created, unchanged for the vendor."""
        first = await lab.person(1)
        second = await lab.person(1)
        assert (first.created, second.created, first.crm_id) == (True, False, second.crm_id)
        assert len(lab.records(lab.subject.person)) == 1
        assert [line["effect"] for line in lab.arrivals()] == ["created", "unchanged"]

    async def test_full_batch_is_matched_record_by_record(self, lab: Lab) -> None:
        """The largest batch: every outcome names the record that holds its own external id."""
        count = lab.subject.vendor.batch_records_max
        outcomes = await lab.write(
            *(Write(f"ext-{number}", "", lab.subject.fields(number)) for number in range(count))
        )
        held = await lab.found(*(f"ext-{number}" for number in range(count)))
        assert {f"ext-{n}": o.crm_id for n, o in enumerate(outcomes) if isinstance(o, Written)} == held
        assert len(held) == count

    async def test_batch_above_the_maximum_is_a_defect_of_the_caller(self, lab: Lab) -> None:
        """Chunking is not the connector's job."""
        count = lab.subject.vendor.batch_records_max + 1
        with pytest.raises(ValueError, match="batch"):
            await lab.write(*(Write(f"ext-{number}", "", {}) for number in range(count)))

    async def test_one_bad_record_fails_alone(self, lab: Lab) -> None:
        """An address that the vendor refuses leaves its neighbours alone and names the field."""
        bad = {**lab.subject.fields(2), lab.subject.email: "not-an-address"}
        outcomes = await lab.write(
            Write("ext-1", "", lab.subject.fields(1)),
            Write("ext-2", "", bad),
            Write("ext-3", "", lab.subject.fields(3)),
        )
        assert [isinstance(outcome, Written) for outcome in outcomes] == [True, False, True]
        error = failure(outcomes[1])
        assert (error.error_class, error.field) == (ErrorClass.VALIDATION, lab.subject.email)
        assert sorted(await lab.found("ext-1", "ext-2", "ext-3")) == ["ext-1", "ext-3"]

    async def test_unknown_field_is_a_format_fault(self, lab: Lab) -> None:
        """A mapping to a field that is not there is ours to mend, and spares records without it."""
        wrong = {**lab.subject.fields(1), "nosuchfield": "x"}
        outcomes = await lab.write(Write("ext-1", "", wrong), Write("ext-2", "", lab.subject.fields(2)))
        assert failure(outcomes[0]).error_class is ErrorClass.FORMAT
        assert isinstance(outcomes[1], Written)

    async def test_vendor_faults_of_single_records_can_be_retried(self, lab: Lab) -> None:
        """Where the vendor fails some records of a batch, exactly those are SERVER, and a retry heals them."""
        lab.faults({"kind": "partial", "share": 0.5, "count": 1})
        writes = [Write(f"ext-{number}", "", lab.subject.fields(number)) for number in range(10)]
        outcomes = await lab.write(*writes)
        again = [
            write for write, outcome in zip(writes, outcomes, strict=True) if isinstance(outcome, Failed)
        ]
        assert 0 < len(again) < 10
        assert {failure(o).error_class for o in outcomes if isinstance(o, Failed)} == {ErrorClass.SERVER}
        assert all(isinstance(outcome, Written) for outcome in await lab.write(*again))
        assert len(lab.records(lab.subject.person)) == 10

    @pytest.mark.parametrize("after_s", [7, None])
    async def test_rate_limit_surfaces_with_the_vendors_wish(self, lab: Lab, after_s: int | None) -> None:
        """A 429 or its like is RATE_LIMIT, with Retry-After where it was sent; nothing is retried in here."""
        lab.faults({"kind": "storm_429", "count": 1, "retry_after_s": after_s})
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.retry_after_s) == (ErrorClass.RATE_LIMIT, after_s)
        assert lab.gate.calls[-1].facts.retry_after_s == after_s
        assert (await lab.person(1)).created

    async def test_spent_daily_allowance_is_quota(self, lab: Lab) -> None:
        """The day's last call is told apart from a busy window."""
        lab.options({"calls_daily_max": 0})
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert error.error_class is ErrorClass.QUOTA

    async def test_limit_headers_reach_the_gate(self, lab: Lab) -> None:
        """Every answer's facts are told to the gate."""
        await lab.person(1)
        facts = lab.gate.calls[-1].facts
        assert facts.daily_used is not None
        assert facts.daily_limit is not None
        assert 0 < facts.daily_used < facts.daily_limit

    async def test_token_expiry_is_healed_by_one_refresh(self, lab: Lab) -> None:
        """A token that dies between two calls costs one refresh and one resend."""
        await lab.person(1)
        before = len(lab.gate.calls)
        lab.faults({"kind": "token_expire_now", "count": 1})
        await lab.person(2)
        calls = lab.gate.calls[before:]
        assert [(call.endpoint_class, call.status, call.resend_count) for call in calls] == [
            ("write", 401, 0),
            ("auth", 200, 0),
            ("write", 200, 1),
        ]

    @pytest.mark.parametrize("kind", ["commit_then_reset", "commit_then_hang"])
    async def test_lost_answer_is_in_doubt_and_look_up_finds_it(self, patient_lab: Lab, kind: str) -> None:
        """The write was committed, its answer lost: IN_DOUBT within the timeout, and the record can be found."""
        lab = patient_lab
        lab.faults({"kind": kind, "count": 1})
        began_s = time.monotonic()
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert error.error_class is ErrorClass.IN_DOUBT
        assert time.monotonic() - began_s < HANG_TIMEOUT_S + 2.0
        assert list(await lab.found("ext-1")) == ["ext-1"]

    @pytest.mark.parametrize("known", [False, True], ids=["upsert", "update"])
    async def test_a_promised_repeat_makes_no_second_record(self, lab: Lab, *, known: bool) -> None:
        """A write whose answer was lost, sent again unasked: where the vendor promises it, nothing is doubled."""
        crm_id = (await lab.person(1)).crm_id if known else ""
        write = Write("ext-1", crm_id, {**lab.subject.fields(1), lab.subject.text: "second"})
        kind = lab.subject.vendor.write_kind(lab.subject.person, write)
        assert lab.subject.vendor.in_doubt[kind].repeat_safe
        lab.faults({"kind": "commit_then_reset", "count": 1})
        assert (await whole_failure(lab, write)).error_class is ErrorClass.IN_DOUBT
        [outcome] = await lab.write(write)
        assert isinstance(outcome, Written)
        assert not outcome.created
        assert len(lab.records(lab.subject.person)) == 1
        assert lab.arrivals()[-1]["effect"] == "unchanged"

    async def test_hang_is_in_doubt_and_look_up_tells_it_did_not_happen(self, patient_lab: Lab) -> None:
        """A vendor that never works and never answers: the doubt is resolved to no."""
        lab = patient_lab
        lab.faults({"kind": "hang", "count": 1})
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.code) == (ErrorClass.IN_DOUBT, "TIMEOUT")
        assert await lab.found("ext-1") == {}

    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            ({"kind": "error_5xx", "status": 503}, ErrorClass.SERVER),
            ({"kind": "error_5xx", "status": 500}, ErrorClass.SERVER),
            ({"kind": "error_5xx", "status": 504}, ErrorClass.IN_DOUBT),
            ({"kind": "html_error", "status": 503}, ErrorClass.SERVER),
            ({"kind": "html_error", "status": 502}, ErrorClass.IN_DOUBT),
        ],
    )
    async def test_server_faults_are_told_apart(
        self, lab: Lab, fault: dict[str, object], expected: ErrorClass
    ) -> None:
        """Faults of the vendor are SERVER, a gateway's word about a write is a doubt; HTML is readable."""
        lab.faults({**fault, "count": 1})
        error = await whole_failure(lab, Write("ext-1", "", lab.subject.fields(1)))
        assert (error.error_class, error.http_status) == (expected, fault["status"])
        assert "<" not in error.message

    async def test_conflict_names_the_record_and_it_can_be_adopted(self, lab: Lab) -> None:
        """A record made by hand holds the address: CONFLICT names it, writing by its id claims it."""
        lab.options(lab.subject.options)
        planted = lab.plant(lab.subject.fields(1))
        [outcome] = await lab.write(Write("ext-1", "", lab.subject.fields(1)))
        error = failure(outcome)
        assert (error.error_class, error.existing_crm_id) == (ErrorClass.CONFLICT, planted)
        adopted = await lab.person(1, crm_id=planted)
        assert adopted == Written(planted, created=False)
        assert await lab.found("ext-1") == {"ext-1": planted}
        assert len(lab.records(lab.subject.person)) == 1

    async def test_edges_of_text_survive(self, lab: Lab) -> None:
        """Unicode, quotes, backslashes, more than 255 characters, empty and cleared values."""
        odd = 'Zoë 🦉 漢字 O\'Neil \\ "q" <b>&amp; \n end'
        await lab.person(1, more={lab.subject.name: odd, lab.subject.text: "x" * 300})
        person = lab.subject.person
        held = (await lab.connector.look_up(person, ["ext-1"]))["ext-1"].fields
        assert (held[lab.subject.name], held[lab.subject.text]) == (odd, "x" * 300)
        for cleared in (None, ""):
            await lab.person(1, more={lab.subject.text: "y"})
            await lab.person(1, more={lab.subject.text: cleared})
            held = (await lab.connector.look_up(person, ["ext-1"]))["ext-1"].fields
            assert held[lab.subject.text] is None

    async def test_look_up_takes_any_external_id(self, lab: Lab) -> None:
        """Ids with quotes and backslashes are looked up, not interpreted; absent ones are left out."""
        odd = "a'b\\c ü%_"
        [outcome] = await lab.write(Write(odd, "", lab.subject.fields(1)))
        assert isinstance(outcome, Written)
        assert await lab.found(odd, "' OR Id != '", "absent") == {odd: outcome.crm_id}
        assert await lab.found() == {}

    async def test_look_up_takes_more_ids_than_one_call_holds(self, lab: Lab) -> None:
        """Reads are chunked by the connector."""
        await lab.person(1)
        many = [f"00000000-0000-4000-8000-{number:012}" for number in range(450)]
        assert list(await lab.found(*many, "ext-1")) == ["ext-1"]

    async def test_references_are_brought_about_and_idempotent(self, lab: Lab) -> None:
        """A person is linked to its company, twice is once."""
        [company] = await lab.write(Write("co-1", "", lab.subject.company_fields), target=lab.subject.company)
        assert isinstance(company, Written)
        write = Write("ext-1", "", lab.subject.fields(1), (Reference(lab.subject.link, (company.crm_id,)),))
        assert isinstance((await lab.write(write))[0], Written)
        assert isinstance((await lab.write(write))[0], Written)
        assert self.links(lab) == [company.crm_id]

    async def test_reference_to_nothing_fails_its_record_only(self, lab: Lab) -> None:
        """A company that is not there is REFERENCE for the record that names it."""
        lost = Reference(lab.subject.link, (lab.subject.missing_id,))
        outcomes = await lab.write(
            Write("ext-1", "", lab.subject.fields(1), (lost,)), Write("ext-2", "", lab.subject.fields(2))
        )
        assert failure(outcomes[0]).error_class is ErrorClass.REFERENCE
        assert isinstance(outcomes[1], Written)

    async def test_deleted_record_is_not_found(self, lab: Lab) -> None:
        """Writing by the id of a deleted record says that it is gone; its neighbour is written."""
        gone, kept = await lab.person(1), await lab.person(2)
        lab.delete(gone.crm_id)
        outcomes = await lab.write(
            Write("ext-1", gone.crm_id, lab.subject.fields(1)),
            Write("ext-2", kept.crm_id, lab.subject.fields(2)),
        )
        assert failure(outcomes[0]).error_class is ErrorClass.NOT_FOUND
        assert outcomes[1] == Written(kept.crm_id, created=False)
        assert await lab.found("ext-1") == {}

    async def test_every_call_carries_the_trace_and_a_low_cardinality_name(self, lab: Lab) -> None:
        """The ticket's headers reach the vendor; span names hold no ids."""
        await lab.person(1)
        await lab.found("ext-1")
        assert {line["traceparent"] for line in lab.arrivals()} == {TRACEPARENT}
        assert all("ext-" not in call.url_template for call in lab.gate.calls)
        assert lab.account not in " ".join(call.url_template for call in lab.gate.calls)

    async def test_connection_test_explains_success_and_failure(
        self, lab: Lab, sandbox: SandboxProcess
    ) -> None:
        """It says yes when it works, and what to do when the grant is gone or nobody listens; it never raises."""
        assert (await lab.connector.test_connection()).ok
        async with open_lab(self.subject, sandbox, f"{lab.account}x", refresh_token="wrong") as other:
            refused = await other.connector.test_connection()
        nobody = replace(sandbox_account(sandbox, "v", "n"), base_url="http://127.0.0.1:9")
        unreachable = await self.subject.vendor.open(nobody, RecordingGate()).test_connection()
        assert (refused.ok, unreachable.ok) == (False, False)
        assert "connect the account again" in refused.findings[0]
        assert "base URL" in unreachable.findings[0]

    async def test_unreachable_vendor_is_network_not_doubt(self, sandbox: SandboxProcess) -> None:
        """Nobody listens: certainly not applied."""
        nobody = replace(sandbox_account(sandbox, "v", "n"), base_url="http://127.0.0.1:9")
        connector = self.subject.vendor.open(nobody, RecordingGate())
        with pytest.raises(CallFailed) as failed:
            await connector.upsert(self.subject.person, [Write("ext-1", "", self.subject.fields(1))])
        await connector.aclose()
        assert failed.value.error.error_class is ErrorClass.NETWORK

    def links(self, lab: Lab) -> list[str]:
        """Return the companies that the only person is linked to, as the vendor holds them."""
        raise NotImplementedError

    async def test_records_are_put_into_the_bin_once_in_effect(self, lab: Lab) -> None:
        """What is removed is not found any more; again it changes nothing; others stay, and it can be made anew."""
        assert isinstance(lab.connector, Removable)
        people = [await lab.person(number) for number in (1, 2, 3)]
        doomed = [people[0].crm_id, people[1].crm_id]
        for _ in range(2):
            assert await lab.connector.removing.remove(lab.subject.person.crm_object, doomed) == {}
            assert await lab.found("ext-1", "ext-2", "ext-3") == {"ext-3": people[2].crm_id}
        again = await lab.person(1)
        assert again.created
        assert again.crm_id != people[0].crm_id
