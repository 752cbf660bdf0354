"""What every connector must do, one behaviour per test: the writing half. Subclass `ConnectorConformance`.

    class TestAcme(ConnectorConformance):
        subject = ACME                       # a Subject

        @pytest.fixture
        async def lab(self) -> ...: ...      # yields a Lab: an empty, prepared account

Tests of what the connector's `Capabilities` do not declare are left out.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from headwater.connectors.base import ErrorClass, Failed, Outcome, Reference, VendorError, Write, Written
from headwater.connectors.base.removing import Removable
from headwater.connectors.base.testing.conformance_faults import FaultConformance
from headwater.connectors.base.testing.conformance_polling import PollingConformance
from headwater.connectors.base.testing.conformance_sweeping import SweepingConformance
from headwater.connectors.base.testing.lab import TRACEPARENT, Lab
from headwater.connectors.base.testing.suite import Suite, proves

ODD_TEXT = 'Zoë 🦉👩‍👩‍👧 漢字 مرحبا e\u0301 O\'Neil \\ "q" <b>&amp; %_ \n end'
ODD_ID = "a'b\\c ü%_/?#"


def failure(outcome: Outcome) -> VendorError:
    """Return the error of a failed outcome."""
    assert isinstance(outcome, Failed), outcome
    return outcome.error


class WritingConformance(Suite):
    """Prepare, upsert, look up, link: what happens when nothing breaks."""

    @pytest.fixture
    def patient_lab(self, lab: Lab) -> Lab:
        """The same account with a short timeout, where vendors really hang."""
        return lab

    @proves("prepare", needs=("schema_discovery",))
    async def test_prepare_is_idempotent(self, lab: Lab) -> None:
        """A second preparation finds everything in place."""
        assert (await lab.connector.prepare([lab.subject.person])).ok

    @proves("prepare", needs=("schema_discovery", "over_http"))
    async def test_prepare_writes_nothing_the_second_time(self, lab: Lab) -> None:
        """What is there is read, not made again."""
        calls = len(lab.gate.calls)
        await lab.connector.prepare([lab.subject.person])
        assert {call.endpoint_class for call in lab.gate.calls[calls:]} == {"read"}

    @proves("prepare", needs=("schema_discovery", "over_http"))
    async def test_prepare_reports_unknown_fields(self, lab: Lab) -> None:
        """A field that is not there is told by its name, not created."""
        person = lab.subject.person
        report = await lab.connector.prepare([replace(person, fields=(*person.fields, "NoSuch"))])
        assert (report.ok, "NoSuch" in " ".join(report.findings)) == (False, True)

    @proves("upsert", needs=("look_up",))
    async def test_upsert_twice_changes_nothing_the_second_time(self, lab: Lab) -> None:
        """The same write again: same record, not created, unchanged for the vendor."""
        first = await lab.person(1)
        second = await lab.person(1)
        assert (first.created, second.created, first.crm_id) == (True, False, second.crm_id)
        assert lab.count() == 1
        assert lab.effects() == ["created", "unchanged"]

    @proves("upsert")
    async def test_outcomes_stand_in_the_order_of_the_writes(self, lab: Lab) -> None:
        """A batch of mixed order: one outcome each, where the caller expects it."""
        await lab.person(3)
        numbers = (5, 3, 9, 1)[: lab.subject.vendor.capabilities.batch_records_max]
        outcomes = await lab.write(*(Write(f"ext-{n}", "", lab.subject.fields(n)) for n in numbers))
        assert len(outcomes) == len(numbers)
        assert all(isinstance(outcome, Written) for outcome in outcomes)

    @proves("upsert", needs=("look_up",))
    async def test_full_batch_is_matched_record_by_record(self, lab: Lab) -> None:
        """The largest batch: every outcome names the record that holds its own external id."""
        count = lab.subject.vendor.capabilities.batch_records_max
        outcomes = await lab.write(*(Write(f"ext-{n}", "", lab.subject.fields(n)) for n in range(count)))
        held = await lab.found(*(f"ext-{n}" for n in range(count)))
        assert {f"ext-{n}": o.crm_id for n, o in enumerate(outcomes) if isinstance(o, Written)} == held
        assert len(held) == count

    @proves("upsert")
    async def test_batches_out_of_bounds_are_a_defect_of_the_caller(self, lab: Lab) -> None:
        """Chunking is not the connector's job, nor is an empty batch or the same record twice."""
        count = lab.subject.vendor.capabilities.batch_records_max + 1
        with pytest.raises(ValueError, match="batch"):
            await lab.write(*(Write(f"ext-{n}", "", {}) for n in range(count)))
        with pytest.raises(ValueError, match="batch"):
            await lab.write()
        twice = Write("ext-1", "", lab.subject.fields(1))
        with pytest.raises(ValueError, match="batch"):
            await lab.write(twice, twice)

    @proves("upsert", needs=("validates",))
    async def test_one_bad_record_fails_alone(self, lab: Lab) -> None:
        """A value that the vendor refuses leaves its neighbours alone."""
        bad = {**lab.subject.fields(2), lab.subject.bad_field: lab.subject.bad[1]}
        writes = [Write(f"ext-{n}", "", bad if n == 2 else lab.subject.fields(n)) for n in (1, 2, 3)]
        outcomes = [
            outcome
            for write in (
                [writes] if lab.subject.vendor.capabilities.batch_records_max > 2 else [[w] for w in writes]
            )
            for outcome in await lab.write(*write)
        ]
        assert [isinstance(outcome, Written) for outcome in outcomes] == [True, False, True]
        assert failure(outcomes[1]).error_class is ErrorClass.VALIDATION
        if lab.subject.vendor.capabilities.look_up:
            assert failure(outcomes[1]).field == lab.subject.bad_field
            assert sorted(await lab.found("ext-1", "ext-2", "ext-3")) == ["ext-1", "ext-3"]

    @proves("schema drift", needs=("schema_discovery", "over_http"))
    async def test_a_field_that_is_gone_is_a_format_fault(self, lab: Lab) -> None:
        """A mapping to a field that is not there is ours to mend, and spares records without it."""
        wrong = {**lab.subject.fields(1), "nosuchfield": "x"}
        outcomes = await lab.write(Write("ext-1", "", wrong), Write("ext-2", "", lab.subject.fields(2)))
        assert failure(outcomes[0]).error_class is ErrorClass.FORMAT
        assert isinstance(outcomes[1], Written)

    @proves("conflict", needs=("conflicts",))
    async def test_conflict_names_the_record_and_it_can_be_adopted(self, lab: Lab) -> None:
        """A record made by hand holds the address: CONFLICT names it, writing by its id claims it."""
        planted = lab.plant(lab.subject.fields(1))
        [outcome] = await lab.write(Write("ext-1", "", lab.subject.fields(1)))
        error = failure(outcome)
        assert (error.error_class, error.existing_crm_id) == (ErrorClass.CONFLICT, planted)
        assert await lab.person(1, crm_id=planted) == Written(planted, created=False)
        assert await lab.found("ext-1") == {"ext-1": planted}
        assert lab.count() == 1

    @proves("upsert", needs=("look_up",))
    async def test_edges_of_text_survive(self, lab: Lab) -> None:
        """Unicode of every kind, quotes, backslashes, more than 255 characters, empty and cleared values."""
        text = lab.subject.text
        await lab.person(1, more={lab.subject.name: ODD_TEXT, text: "x" * 300})
        held = (await lab.held("ext-1"))["ext-1"].fields
        assert (held[lab.subject.name], held[text]) == (ODD_TEXT, "x" * 300)
        for cleared in (None, ""):
            await lab.person(1, more={text: "y"})
            await lab.person(1, more={text: cleared})
            assert (await lab.held("ext-1"))["ext-1"].fields[text] is None

    @proves("upsert", needs=("look_up",))
    async def test_fields_that_are_not_written_stay(self, lab: Lab) -> None:
        """A patch of one field leaves the others as they are."""
        text = lab.subject.text
        await lab.person(1, more={text: "kept"})
        [outcome] = await lab.write(Write("ext-1", "", {lab.subject.name: "Changed"}))
        assert isinstance(outcome, Written)
        held = (await lab.held("ext-1"))["ext-1"].fields
        assert (held[lab.subject.name], held[text]) == ("Changed", "kept")

    @proves("look_up", needs=("look_up",))
    async def test_look_up_takes_any_external_id(self, lab: Lab) -> None:
        """Ids with quotes, slashes and backslashes are looked up, not interpreted; absent ones are left out."""
        [outcome] = await lab.write(Write(ODD_ID, "", lab.subject.fields(1)))
        assert isinstance(outcome, Written)
        assert await lab.found(ODD_ID, "' OR Id != '", "absent") == {ODD_ID: outcome.crm_id}
        assert await lab.found() == {}

    @proves("look_up", needs=("look_up",))
    async def test_look_up_takes_more_ids_than_one_call_holds(self, lab: Lab) -> None:
        """Reads are chunked by the connector."""
        await lab.person(1)
        many = [f"00000000-0000-4000-8000-{number:012}" for number in range(450)]
        assert list(await lab.found(*many, "ext-1")) == ["ext-1"]

    @proves("look_up", needs=("look_up",))
    async def test_look_up_tells_the_fields_of_the_target_and_no_others(self, lab: Lab) -> None:
        """What is asked for comes back, None where it is empty."""
        await lab.person(1)
        fields = (await lab.held("ext-1"))["ext-1"].fields
        assert set(fields) == set(lab.subject.person.fields)
        assert fields[lab.subject.text] is None

    @proves("owners", needs=("look_up",))
    async def test_owners_are_told_by_crm_id(self, lab: Lab) -> None:
        """A record says whose it is; one that is not there is left out."""
        mine = await lab.person(1)
        owners = await lab.connector.owners(lab.subject.person, [mine.crm_id, lab.subject.missing_id])
        assert owners == {mine.crm_id: "ext-1"}

    @proves("references", needs=("references", "look_up", "over_http"))
    async def test_references_are_brought_about_and_idempotent(self, lab: Lab) -> None:
        """A person is linked to its company, twice is once."""
        subject = lab.subject
        assert subject.company is not None
        [company] = await lab.write(Write("co-1", "", subject.company_fields), target=subject.company)
        assert isinstance(company, Written)
        write = Write("ext-1", "", subject.fields(1), (Reference(subject.link, (company.crm_id,)),))
        for _ in range(2):
            assert isinstance((await lab.write(write))[0], Written)
        assert lab.links() == [company.crm_id]

    @proves("references", needs=("references", "look_up", "over_http"))
    async def test_reference_to_nothing_fails_its_record_only(self, lab: Lab) -> None:
        """A company that is not there is REFERENCE for the record that names it."""
        lost = Reference(lab.subject.link, (lab.subject.missing_id,))
        outcomes = await lab.write(
            Write("ext-1", "", lab.subject.fields(1), (lost,)), Write("ext-2", "", lab.subject.fields(2))
        )
        assert failure(outcomes[0]).error_class is ErrorClass.REFERENCE
        assert isinstance(outcomes[1], Written)

    @proves("delete", needs=("delete",))
    async def test_deleted_record_is_not_found(self, lab: Lab) -> None:
        """Writing by the id of a deleted record says that it is gone; its neighbour is written."""
        gone, kept = await lab.person(1), await lab.person(2)
        lab.delete(gone.crm_id)
        outcomes = [
            (await lab.write(Write(f"ext-{n}", crm_id, lab.subject.fields(n))))[0]
            for n, crm_id in ((1, gone.crm_id), (2, kept.crm_id))
        ]
        assert failure(outcomes[0]).error_class is ErrorClass.NOT_FOUND
        assert outcomes[1] == Written(kept.crm_id, created=False)
        assert await lab.found("ext-1") == {}

    @proves("remove", needs=("remove", "look_up"))
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

    @proves("trace", needs=("over_http",))
    async def test_every_call_carries_the_trace_and_a_low_cardinality_name(self, lab: Lab) -> None:
        """The ticket's headers reach the vendor; span names hold no ids."""
        assert lab.wire is not None
        await lab.person(1)
        await lab.held("ext-1")
        assert {request.headers.get("traceparent") for request in lab.wire.requests} == {TRACEPARENT}
        assert all("ext-" not in call.url_template for call in lab.gate.calls)

    @proves("test-connection")
    async def test_connection_test_says_yes_when_it_works(self, lab: Lab) -> None:
        """What was tried is told."""
        report = await lab.connector.test_connection()
        assert report.ok
        assert report.findings

    @proves("test-connection", needs=("over_http",))
    async def test_connection_test_explains_what_is_wrong(self, lab: Lab) -> None:
        """It says what to do when credentials are refused or nobody listens; it never raises."""
        assert lab.nobody is not None
        unreachable = await lab.nobody.test_connection()
        assert (unreachable.ok, "base URL" in unreachable.findings[0]) == (False, True)
        assert lab.refused is not None
        refused = await lab.refused.test_connection()
        assert (refused.ok, "what to do" in refused.findings[0]) == (False, True)


class ConnectorConformance(WritingConformance, FaultConformance, PollingConformance, SweepingConformance):
    """The whole suite."""
