"""Salesforce's recycle bin: records that are deleted can be restored for 15 days.

Source: REST API Developer Guide, sObject Collections (DELETE, up to 200 ids, one result each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request, required_json
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.base.port import Write
from headwater.connectors.salesforce.errors import error_of, error_of_record

_OK: Final = 200
_UNSAID: Final = VendorError(ErrorClass.PARTIAL, "NO_OUTCOME", "the answer says nothing about this record")


class SalesforceRemovals:
    """Deletes the records of one org into its recycle bin."""

    def __init__(self, http: AuthorizedHttp, version: str) -> None:
        self._http = http
        self._version = version

    async def remove(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Delete records; see the port. An id says by itself of which object it is."""
        del crm_object
        answer = await self._http.send(delete_request(self._version, crm_ids))
        if answer.status != _OK:
            raise CallFailed(error_of(answer, writes=True))
        return read_removed(required_json(answer, writes=True), crm_ids)


def delete_request(version: str, crm_ids: Sequence[str]) -> Request:
    """Return the call that deletes records."""
    path, template = (f"/services/data/{item}/composite/sobjects" for item in (version, "{version}"))
    query = {"ids": ",".join(crm_ids), "allOrNone": "false"}
    return Request("DELETE", path, template, "write", query=query)


def read_removed(body: Any, crm_ids: Sequence[str]) -> dict[str, VendorError]:
    """Return why records stay; results come in the order of the ids."""
    results = body if isinstance(body, list) and len(body) == len(crm_ids) else [None] * len(crm_ids)
    found = {crm_id: _failure(crm_id, item) for crm_id, item in zip(crm_ids, results, strict=True)}
    return {
        crm_id: error
        for crm_id, error in found.items()
        if error is not None and error.error_class is not ErrorClass.NOT_FOUND
    }


def _failure(crm_id: str, item: Any) -> VendorError | None:
    if not isinstance(item, dict):
        return _UNSAID
    if item.get("success") is True:
        return None
    errors = [entry for entry in item.get("errors") or () if isinstance(entry, dict)]
    return error_of_record(errors[0] if errors else {}, Write("", crm_id, {}))
