"""Dataverse's webhooks: the key that the registration was given, and which records a call names. Pure.

A webhook of the Plugin Registration Tool authenticates itself by one value of ours, in a header or in the query (`WebhookKey`
is the query's `code`); nothing is signed or dated. A secret is that value. The option `header` names the header; without it
the value is looked for in the query, under the name of the option `query`, by default `code`.

    webhook:
      scheme: dynamics
      options: {header: x-headwater-key}
      secrets: [env:HEADWATER_DYNAMICS_WEBHOOK]
      notices: true

The body is the RemoteExecutionContext. One that would be longer than 256 KB comes without its parameters, and still says what
it is about. A call that is sent again has the same `OperationId` and `OperationCreatedOn`.

Source: Microsoft Learn, Power Apps developer: Use webhooks; RemoteExecutionContext.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from headwater.connectors.base.webhooks import Delivery, Notice, Rejected, SchemeSettings, Verdict, Verified
from headwater.kernel.errors import InvalidInput

QUERY: Final = "code"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_NOBODY: Final = "00000000-0000-0000-0000-000000000000"
_TIME = re.compile(r"/Date\((\d{1,16})(?:[+-]\d{4})?\)/", re.ASCII)
_CHANGES: Final = frozenset(
    {"Create", "Update", "Delete", "Upsert", "Merge", "Assign", "SetState", "SetStateDynamicEntity"}
)
_MULTIPLE: Final = frozenset({"CreateMultiple", "UpdateMultiple", "UpsertMultiple", "DeleteMultiple"})


class WebhookKey:
    """Verifies the value that a webhook was registered with."""

    def __init__(self, settings: SchemeSettings) -> None:
        unknown = set(settings.options) - {"header", "query"}
        self._header = settings.options.get("header", "")
        self._query = settings.options.get("query", QUERY)
        if unknown or (self._header and not _HEADER.fullmatch(self._header)):
            message = "dynamics: the options are header, a header's name, and query, the name of a value in the query"
            raise InvalidInput(message, reason="WEBHOOK_OPTIONS")

    def verify(self, delivery: Delivery, secrets: Sequence[str], now_s: float) -> Verdict:  # noqa: ARG002 - nothing is dated
        """Decide; see the port."""
        offered = delivery.header(self._header) if self._header else self._in_query(delivery.target)
        if isinstance(offered, Rejected):
            return offered
        given = offered.encode("utf-8", "replace")
        if not any([hmac.compare_digest(secret.encode(), given) for secret in secrets]):  # noqa: C419 - all of them
            return Rejected("key_mismatch")
        return Verified(f"sha256:{sha256(delivery.raw_body).hexdigest()}")

    def _in_query(self, target: str) -> str | Rejected:
        query = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        values = [value for name, value in query if name == self._query]
        return values[0] if len(values) == 1 and values[0] else Rejected("key_missing")

    def notices(self, body: Any) -> Sequence[Notice]:
        """Return the records that a call names; see the port."""
        return notices_of(body)


def notices_of(body: Any) -> Sequence[Notice]:
    """Return the records that a RemoteExecutionContext is about: of a merge both, of a multiple operation each."""
    if not isinstance(body, dict):
        return ()
    table, told = (
        str(body.get("PrimaryEntityName") or ""),
        _TIME.fullmatch(str(body.get("OperationCreatedOn"))),
    )
    time_us = int(told.group(1)) * 1000 if told else None
    named = (Notice(table, crm_id.lower(), time_us) for crm_id in _named(body))
    return tuple(dict.fromkeys(named))


def _named(body: Mapping[str, Any]) -> Iterator[str]:
    message = str(body.get("MessageName"))
    given = body.get("InputParameters")
    parameters = {
        str(item.get("key")): item.get("value")
        for item in (given if isinstance(given, list) else ())
        if isinstance(item, dict)
    }
    if message in _MULTIPLE:
        targets = parameters.get("Targets")
        entities = targets.get("Entities") if isinstance(targets, dict) else targets
        for entity in entities if isinstance(entities, list) else ():
            yield _id(entity.get("Id") or entity.get("id")) if isinstance(entity, dict) else ""
    elif message in _CHANGES:
        yield _id(body.get("PrimaryEntityId"))
        if message == "Merge" and (loser := _id(parameters.get("SubordinateId"))):
            yield loser


def _id(value: Any) -> str:
    return value if isinstance(value, str) and value != _NOBODY else ""
