"""Erasing HubSpot records for good: what is erased so cannot be restored, as what is archived can for 90 days.

Source: HubSpot CRM API v3, `gdpr-delete`: one record a call, answers 204.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.hubspot.errors import error_of

_DONE: Final = frozenset({200, 204, 404})
_OBJECTS: Final = "/crm/v3/objects"
_OWN_FAULT: Final = frozenset({ErrorClass.VALIDATION, ErrorClass.FORMAT, ErrorClass.CONFLICT})


class HubSpotErasures:
    """Erases the records of one account, one a call."""

    def __init__(self, http: AuthorizedHttp) -> None:
        self._http = http

    def method(self, crm_object: str) -> str:
        """Return how it is done; see the port."""
        return f"gdpr-delete of {crm_object}: HubSpot keeps no copy that can be restored"

    async def erase(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Erase records; see the port."""
        stay: dict[str, VendorError] = {}
        for crm_id in crm_ids:
            answer = await self._http.send(erase_request(crm_object, crm_id))
            if answer.status in _DONE:
                continue
            error = error_of(answer, writes=True)
            if error.error_class not in _OWN_FAULT:
                raise CallFailed(error)
            stay[crm_id] = error
        return stay


def erase_request(crm_object: str, crm_id: str) -> Request:
    """Return the call that erases a record."""
    path = f"{_OBJECTS}/{quote(crm_object, safe='')}/gdpr-delete"
    return Request("POST", path, f"{_OBJECTS}/{{objectType}}/gdpr-delete", "write", body={"objectId": crm_id})
