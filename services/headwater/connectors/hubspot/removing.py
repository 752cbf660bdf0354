"""HubSpot's bin: records that are archived can be restored for 90 days.

Source: HubSpot CRM API v3, batch archive: answers 204, also about records that are archived already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

from headwater.connectors.base import CallFailed, VendorError
from headwater.connectors.base.http import Request
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.hubspot.errors import error_of

_DONE: Final = frozenset({200, 204, 207})
_OBJECTS: Final = "/crm/v3/objects"


class HubSpotRemovals:
    """Archives the records of one account."""

    def __init__(self, http: AuthorizedHttp) -> None:
        self._http = http

    async def remove(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Archive records; see the port. HubSpot archives all of a batch or refuses it."""
        answer = await self._http.send(archive_request(crm_object, crm_ids))
        if answer.status not in _DONE:
            raise CallFailed(error_of(answer, writes=True))
        return {}


def archive_request(crm_object: str, crm_ids: Sequence[str]) -> Request:
    """Return the call that archives records."""
    path = f"{_OBJECTS}/{quote(crm_object, safe='')}/batch/archive"
    body = {"inputs": [{"id": crm_id} for crm_id in crm_ids]}
    return Request("POST", path, f"{_OBJECTS}/{{objectType}}/batch/archive", "write", body=body)
