"""Every operation of ours through Microsoft's own client, one after another; prints the names in order.

The client insists on https, so an adapter puts the capture server in place of the environment; nothing else is touched.
Some look the table up first: the last request of each is the one that is compared.
"""
# ruff: noqa: T201

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.models.upsert import UpsertItem
from requests.adapters import HTTPAdapter

ENVIRONMENT = "https://parity.crm.dynamics.com"
KEY = "hw_headwaterid"
ONE = "11111111-1111-4111-8111-111111111111"
TWO = "22222222-2222-4222-8222-222222222222"


class Credential:
    """Gives a token that nobody checks."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return one that lasts an hour."""
        return AccessToken("t", int(time.time()) + 3600)


class Redirect(HTTPAdapter):
    """Sends what is meant for the environment to the capture server."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it."""
        request.url = str(request.url).replace(ENVIRONMENT, sys.argv[1], 1)
        return super().send(request, *args, **kwargs)


def opened() -> Any:
    """Return the client, its sessions led to the capture server."""
    begin = requests.Session.__init__

    def with_adapter(session: requests.Session) -> None:
        begin(session)
        session.mount(ENVIRONMENT, Redirect())

    requests.Session.__init__ = with_adapter  # type: ignore[assignment,method-assign]
    return DataverseClient(ENVIRONMENT, Credential())


def batched(client: Any, *adds: Callable[[Any], None]) -> None:
    """Send one batch."""
    batch = client.batch.new()
    for add in adds:
        add(batch)
    batch.execute(continue_on_error=True)


def upsert(external_id: str, record: Mapping[str, Any]) -> Callable[[Any], None]:
    """Return what adds an upsert to a batch."""
    return lambda batch: batch.records.upsert("contact", [UpsertItem({KEY: external_id}, record)])


def update(crm_id: str, record: Mapping[str, Any]) -> Callable[[Any], None]:
    """Return what adds an update to a batch."""
    return lambda batch: batch.records.update("contact", crm_id, record)


def operations(client: Any) -> Mapping[str, Callable[[], Any]]:
    """Return every operation by its name."""
    person: Mapping[str, Any] = {"lastname": "Zoë", "emailaddress1": "zoe@example.com"}
    bound = {"lastname": "A", "parentcustomerid_account@odata.bind": f"/accounts({ONE})"}
    many = [UpsertItem({KEY: f"e-{n}"}, {"lastname": f"P{n}"}) for n in range(3)]
    columns = ["LogicalName", "AttributeType", "IsValidForCreate", "IsValidForUpdate"]
    return {
        "table": lambda: client.tables.get("contact"),
        "columns": lambda: client.tables.list_columns("contact", select=columns),
        "keys": lambda: client.tables.get_alternate_keys("contact"),
        "create_column": lambda: client.tables.add_columns("contact", {KEY: "string"}),
        "create_long_column": lambda: client.tables.add_columns("contact", {"hw_note": "memo"}),
        "create_key": lambda: client.tables.create_alternate_key("contact", f"{KEY}_key", [KEY]),
        "upsert": lambda: batched(client, upsert("e-1", person)),
        "upsert_quoted": lambda: batched(client, upsert("o'neil é", person)),
        "upsert_cleared": lambda: batched(client, upsert("e-1", {"description": None})),
        "upsert_bound": lambda: batched(client, upsert("e-1", bound)),
        "upsert_two": lambda: batched(client, upsert("e-1", person), upsert("e-2", {"lastname": "B"})),
        "update": lambda: batched(client, update(ONE, {"lastname": "C", KEY: "e-1"})),
        "update_two": lambda: batched(client, update(ONE, {KEY: "e-1"}), update(TWO, {KEY: "e-2"})),
        "upsert_multiple": lambda: client.records.upsert("contact", many),
        "by_key": lambda: client.records.list(
            "contact",
            select=["contactid", KEY, "lastname"],
            filter=f"{KEY} eq 'e-1' or {KEY} eq 'o''neil'",
        ),
        "by_id": lambda: client.records.list(
            "contact", select=["contactid", KEY], filter=f"contactid eq {ONE} or contactid eq {TWO}"
        ),
    }


def main() -> None:
    """Run them one after the other."""
    client = opened()
    for name, run in operations(client).items():
        try:
            run()
        except Exception as error:  # noqa: BLE001 - the answers are bare; what was sent is the point
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        print(name, flush=True)
        sys.stdin.readline()


main()
