"""Erasing Salesforce records: deleted, and taken out of the recycle bin.

Source: REST API Developer Guide, sObject Collections (DELETE); SOAP API Developer Guide, emptyRecycleBin() (up to 200 ids;
what it takes out can be read by queryAll for about a day, and be undeleted no more).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from headwater.connectors.base import CallFailed, VendorError
from headwater.connectors.base.http import Answer, Request
from headwater.connectors.base.oauth import AuthorizedHttp
from headwater.connectors.salesforce.errors import error_of
from headwater.connectors.salesforce.merging_wire import soap_request
from headwater.connectors.salesforce.removing import SalesforceRemovals

_OK: Final = 200
_RESULT: Final = re.compile(r"<result>(.*?)</result>", re.DOTALL)


class SalesforceErasures:
    """Erases the records of one org."""

    def __init__(self, http: AuthorizedHttp, version: str) -> None:
        self._http = http
        self._version = version
        self._removals = SalesforceRemovals(http, version)

    def method(self, crm_object: str) -> str:
        """Return how it is done; see the port."""
        return f"delete of {crm_object} and emptyRecycleBin: Salesforce drops it within about a day"

    async def erase(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Erase records; see the port. What is not in the bin was not deleted by us, or is out of it already."""
        refused = await self._removals.remove(crm_object, crm_ids)
        if doomed := [item for item in crm_ids if item not in refused]:
            check_emptied(await self._http.send(empty_request(self._version, doomed)), len(doomed))
        return refused


def empty_request(version: str, crm_ids: Sequence[str]) -> Request:
    """Return the call that takes deleted records (1..200) out of the bin."""
    ids = "".join(f"<ids>{escape(item)}</ids>" for item in crm_ids)
    return soap_request(version, f"<emptyRecycleBin>{ids}</emptyRecycleBin>")


def check_emptied(answer: Answer, count: int) -> None:
    """Make sure that the call was carried out: one result for each id, of whatever kind. Raises: CallFailed."""
    if answer.status != _OK or len(_RESULT.findall(answer.body.decode(errors="replace"))) != count:
        raise CallFailed(error_of(answer, writes=True))
