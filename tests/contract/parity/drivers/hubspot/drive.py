"""Every operation of ours through HubSpot's own client; prints each name when it is done and waits for a line."""
# ruff: noqa: T201

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from hubspot import HubSpot
from hubspot.crm.associations.v4 import models as links
from hubspot.crm.contacts import models
from hubspot.crm.properties import models as properties


def operations(client: Any) -> Mapping[str, Callable[[], Any]]:
    """Return every operation by its name."""
    people, ties = client.crm.contacts, client.crm.associations.v4.batch_api
    upsert = models.SimplePublicObjectBatchInputUpsert(
        id_property="headwater_id",
        id="e-1",
        object_write_trace_id="e-1",
        properties={"email": "zoë@x.example"},
    )
    update = models.SimplePublicObjectBatchInput(
        id="77", object_write_trace_id="e-1", properties={"firstname": "A", "headwater_id": "e-1"}
    )
    by_key = models.BatchReadInputSimplePublicObjectId(
        id_property="headwater_id",
        properties=["headwater_id", "email", "firstname"],
        properties_with_history=[],
        inputs=[models.SimplePublicObjectId(id="e-1")],
    )
    by_id = models.BatchReadInputSimplePublicObjectId(
        properties=["headwater_id"], properties_with_history=[], inputs=[models.SimplePublicObjectId(id="77")]
    )
    since = models.PublicObjectSearchRequest(
        filter_groups=[
            models.FilterGroup(
                filters=[models.Filter(property_name="lastmodifieddate", operator="GTE", value="1700")]
            )
        ],
        sorts=[{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}],
        properties=["firstname", "lastmodifieddate"],
        limit=200,
    )
    made = properties.PropertyCreate(
        name="headwater_id",
        label="Headwater id",
        type="string",
        field_type="text",
        group_name="contactinformation",
        description="Kept by Headwater; do not edit.",
        has_unique_value=True,
    )
    pair = links.PublicDefaultAssociationMultiPost(
        _from=links.PublicObjectId(id="1"), to=links.PublicObjectId(id="2")
    )
    ids = models.BatchInputSimplePublicObjectId(inputs=[models.SimplePublicObjectId(id="77")])
    return {
        "upsert": lambda: people.batch_api.upsert(
            models.BatchInputSimplePublicObjectBatchInputUpsert(inputs=[upsert, upsert])
        ),
        "update": lambda: people.batch_api.update(
            models.BatchInputSimplePublicObjectBatchInput(inputs=[update])
        ),
        "by_key": lambda: people.batch_api.read(by_key),
        "by_id": lambda: people.batch_api.read(by_id),
        "archive": lambda: people.batch_api.archive(ids),
        "search": lambda: people.search_api.do_search(since),
        "archived": lambda: people.basic_api.get_page(limit=100, after="5", archived=True),
        "probe": lambda: people.basic_api.get_page(limit=1),
        "create": lambda: people.basic_api.create(
            models.SimplePublicObjectInputForCreate(properties={"firstname": "A"})
        ),
        "change": lambda: people.basic_api.update(
            "77", models.SimplePublicObjectInput(properties={"firstname": ""})
        ),
        "merge": lambda: people.basic_api.merge(
            models.PublicMergeInput(primary_object_id="77", object_id_to_merge="78")
        ),
        "properties": lambda: client.crm.properties.core_api.get_all("contacts"),
        "create_property": lambda: client.crm.properties.core_api.create("contacts", made),
        "associate": lambda: ties.create_default(
            "contacts", "companies", links.BatchInputPublicDefaultAssociationMultiPost(inputs=[pair])
        ),
        "refresh": lambda: client.oauth.tokens_api.create(
            grant_type="refresh_token", client_id="an id", client_secret="s3cret", refresh_token="r-1"
        ),
    }


def main() -> None:
    """Run them one after the other."""
    client = HubSpot(access_token="t", host=sys.argv[1])
    for name, run in operations(client).items():
        try:
            run()
        except (ValueError, AttributeError) as error:  # the answers are bare; what was sent is the point
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(name, flush=True)
        sys.stdin.readline()


main()
