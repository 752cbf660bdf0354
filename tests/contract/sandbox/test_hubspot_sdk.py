"""HubSpot's own client library works against the sandbox with nothing but its host setting changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hubspot import Client
from hubspot.crm.associations.v4 import (
    BatchInputPublicDefaultAssociationMultiPost,
    PublicDefaultAssociationMultiPost,
)
from hubspot.crm.contacts import (
    BatchInputSimplePublicObjectBatchInputUpsert,
    PublicObjectSearchRequest,
    SimplePublicObjectBatchInputUpsert,
    SimplePublicObjectInput,
    SimplePublicObjectInputForCreate,
)
from hubspot.crm.contacts.exceptions import ApiException
from hubspot.crm.properties import PropertyCreate

if TYPE_CHECKING:
    from tests.contract.sandbox.process import SandboxProcess


class Portal:
    """The client library's parts, each pointed at one account of the sandbox."""

    def __init__(self, sandbox: SandboxProcess, account: str) -> None:
        self._host = f"{sandbox.url}/hubspot/{account}"
        self.client = Client.create(access_token=sandbox.token("hubspot", account)["access_token"])

    def at(self, api: Any) -> Any:
        """The same part with the host changed."""
        api.api_client.configuration.host = self._host
        return api


@pytest.fixture
def portal(sandbox: SandboxProcess) -> Portal:
    """A portal with a unique property for our own ids."""
    sandbox.empty("hubspot", "sdk")
    opened = Portal(sandbox, "sdk")
    wanted = PropertyCreate(
        name="headwater_id",
        label="Headwater id",
        type="string",
        field_type="text",
        group_name="contactinformation",
        has_unique_value=True,
    )
    opened.at(opened.client.crm.properties.core_api).create(object_type="contacts", property_create=wanted)
    return opened


def _upsert(portal: Portal, *items: tuple[str, dict[str, str]]) -> Any:
    inputs = [
        SimplePublicObjectBatchInputUpsert(id=key, id_property="headwater_id", properties=values)
        for key, values in items
    ]
    body = BatchInputSimplePublicObjectBatchInputUpsert(inputs=inputs)
    api = portal.at(portal.client.crm.contacts.batch_api)
    return api.upsert(batch_input_simple_public_object_batch_input_upsert=body)


def test_create_read_update_archive(portal: Portal) -> None:
    """A contact lives its life through the basic API."""
    api = portal.at(portal.client.crm.contacts.basic_api)
    values = {"email": "sdk@example.com", "firstname": "Sdk"}
    made = api.create(
        simple_public_object_input_for_create=SimplePublicObjectInputForCreate(properties=values)
    )
    change = SimplePublicObjectInput(properties={"lastname": "Client"})
    api.update(contact_id=made.id, simple_public_object_input=change)
    read = api.get_by_id(
        contact_id="sdk@example.com", id_property="email", properties=["lastname", "jobtitle"]
    )
    assert (read.id, read.properties["lastname"], read.properties["jobtitle"]) == (made.id, "Client", None)
    api.archive(contact_id=made.id)
    with pytest.raises(ApiException) as refused:
        api.get_by_id(contact_id=made.id)
    assert refused.value.status == 404


def test_batch_upsert_tells_new_from_known(portal: Portal) -> None:
    """The second upsert of the same unique value updates what the first one made."""
    first = _upsert(portal, ("a", {"email": "a@example.com"}), ("b", {"email": "b@example.com"}))
    second = _upsert(portal, ("a", {"firstname": "Ann"}), ("c", {"email": "c@example.com"}))
    known = {one.properties["headwater_id"]: one.id for one in first.results}
    assert {one.new for one in first.results} == {True}
    assert {one.new: one.id for one in second.results}[False] == known["a"]


def test_partial_failure_is_read_as_multi_status(portal: Portal) -> None:
    """A conflict inside a batch comes out as an error that names its input, beside the results."""
    _upsert(portal, ("a", {"email": "a@example.com"}))
    mixed = _upsert(portal, ("x", {"email": "a@example.com"}), ("y", {"email": "y@example.com"}))
    assert (mixed.num_errors, mixed.errors[0].category, mixed.errors[0].context) == (
        1,
        "CONFLICT",
        {"ids": ["x"]},
    )
    assert [one.properties["headwater_id"] for one in mixed.results] == ["y"]


def test_search_pages_through_everything(portal: Portal) -> None:
    """The search API finds every contact once over several pages."""
    _upsert(portal, *((f"n{n}", {"email": f"n{n}@example.com"}) for n in range(7)))
    api = portal.at(portal.client.crm.contacts.search_api)
    filters = [{"filters": [{"propertyName": "email", "operator": "CONTAINS_TOKEN", "value": "example.com"}]}]
    found: list[str] = []
    after: str | None = "0"
    while after is not None:
        request = PublicObjectSearchRequest(filter_groups=filters, limit=3, after=after, sorts=["email"])
        page = api.do_search(public_object_search_request=request)
        found += [one.properties["email"] for one in page.results]
        after = page.paging.next.after if page.paging else None
    assert found == [f"n{n}@example.com" for n in range(7)]


def test_companies_are_associated_with_contacts(portal: Portal) -> None:
    """The v4 associations API relates both ways and may be repeated."""
    contact = _upsert(portal, ("a", {"email": "a@example.com"})).results[0]
    companies = portal.at(portal.client.crm.companies.basic_api)
    company = companies.create(
        simple_public_object_input_for_create=SimplePublicObjectInputForCreate(properties={"name": "Example"})
    )
    api = portal.at(portal.client.crm.associations.v4.batch_api)
    pair = PublicDefaultAssociationMultiPost(_from={"id": contact.id}, to={"id": company.id})
    body = BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
    for _ in range(2):
        told = api.create_default(
            from_object_type="contacts",
            to_object_type="companies",
            batch_input_public_default_association_multi_post=body,
        )
    assert {one.association_spec.association_type_id for one in told.results} == {279, 280}
    read = api.get_page(
        from_object_type="companies",
        to_object_type="contacts",
        batch_input_public_fetch_associations_batch_request={"inputs": [{"id": company.id}]},
    )
    assert [one.to_object_id for one in read.results[0].to] == [contact.id]


def test_properties_are_listed_with_our_own(portal: Portal) -> None:
    """A custom property is told beside the standard ones."""
    listed = portal.at(portal.client.crm.properties.core_api).get_all(object_type="contacts")
    unique = {one.name for one in listed.results if one.has_unique_value}
    assert "headwater_id" in unique
    assert {"email", "firstname"} <= {one.name for one in listed.results}


def test_tokens_are_refreshed_through_the_oauth_client(sandbox: SandboxProcess) -> None:
    """The library's own token call is answered."""
    client = Client.create()
    api = client.oauth.tokens_api
    api.api_client.configuration.host = f"{sandbox.url}/hubspot/sdk"
    told = api.create(
        grant_type="refresh_token",
        client_id="headwater",
        client_secret="sandbox-secret",
        refresh_token="sandbox-refresh-sdk",
    )
    assert (told.token_type, told.expires_in) == ("bearer", 1800)
