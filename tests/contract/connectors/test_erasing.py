"""Erasing for people who ask for it: what the vendor shows no more, and can give nobody back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.contract.connectors.lab import Rooms, SandboxLab, open_lab
from tests.contract.connectors.test_conformance import (
    DYNAMICS_ROOMS,
    DYNAMICS_SUBJECT,
    HUBSPOT_ROOMS,
    HUBSPOT_SUBJECT,
    SALESFORCE_ROOMS,
    SALESFORCE_SUBJECT,
)
from tests.contract.sandbox.process import SandboxProcess

from headwater.connectors.base import CallFailed, ErrorClass
from headwater.connectors.base.erasing import Erasable
from headwater.connectors.base.removing import Removable
from headwater.connectors.base.testing.lab import Subject

pytestmark = [pytest.mark.anyio, pytest.mark.enable_socket, pytest.mark.slow]

VENDORS = pytest.mark.parametrize(
    ("subject", "rooms"),
    [
        (HUBSPOT_SUBJECT, HUBSPOT_ROOMS),
        (SALESFORCE_SUBJECT, SALESFORCE_ROOMS),
        (DYNAMICS_SUBJECT, DYNAMICS_ROOMS),
    ],
    ids=["hubspot", "salesforce", "dynamics"],
)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A running sandbox."""
    with SandboxProcess(tmp_path_factory.mktemp("erasing")) as process:
        yield process


def kept(lab: SandboxLab) -> set[str]:
    """Return the people whom the vendor has still, in its bin as well."""
    url = lab.sandbox.admin(lab.rooms.vendor, lab.account, "records")
    kind = lab.subject.person.crm_object
    told = lab.sandbox.client.get(url, params={"object": kind}).raise_for_status().json()
    return {one["id"] for one in told["records"][kind]}


@VENDORS
async def test_who_is_erased_is_gone_from_the_bin_as_well_and_others_stay(
    sandbox: SandboxProcess, subject: Subject, rooms: Rooms
) -> None:
    """Twice in effect once, whether a record was in the bin before or not; Dataverse has no bin that the API empties."""
    async with open_lab(subject, rooms, sandbox, "erase") as lab:
        assert subject.company is not None
        assert (await lab.connector.prepare([subject.person, subject.company])).ok
        people = [await lab.person(number) for number in (1, 2, 3)]
        doomed = [people[0].crm_id, people[1].crm_id]
        if isinstance(lab.connector, Removable):
            await lab.connector.removing.remove(subject.person.crm_object, doomed[:1])
            assert kept(lab) == {one.crm_id for one in people}
        assert isinstance(lab.connector, Erasable)
        assert subject.person.crm_object in lab.connector.erasing.method(subject.person.crm_object)
        for _ in range(2):
            assert await lab.connector.erasing.erase(subject.person.crm_object, doomed) == {}
            assert set(await lab.connector.owners(subject.person, [one.crm_id for one in people])) == {
                people[2].crm_id
            }
        if rooms.vendor != "dynamics":
            assert kept(lab) == {people[2].crm_id}


@VENDORS
async def test_a_vendor_that_is_down_has_erased_nothing(
    sandbox: SandboxProcess, subject: Subject, rooms: Rooms
) -> None:
    """It is told as a failed call, so that it is asked again."""
    async with open_lab(subject, rooms, sandbox, "erase") as lab:
        assert subject.company is not None
        assert (await lab.connector.prepare([subject.person, subject.company])).ok
        person = await lab.person(1)
        assert isinstance(lab.connector, Erasable)
        lab.faults({"kind": "error_5xx", "count": 1}, writes_only=False)
        with pytest.raises(CallFailed) as failed:
            await lab.connector.erasing.erase(subject.person.crm_object, [person.crm_id])
        assert failed.value.error.error_class in {ErrorClass.SERVER, ErrorClass.IN_DOUBT}
        assert set(await lab.connector.owners(subject.person, [person.crm_id])) == {person.crm_id}
