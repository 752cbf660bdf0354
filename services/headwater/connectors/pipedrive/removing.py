"""Pipedrive's bin: records that are deleted can be restored for 30 days.

Source: Pipedrive API v2, DELETE of persons, organizations and deals.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from headwater.connectors.base import CallFailed, ErrorClass, VendorError
from headwater.connectors.base.http import Answer, Request
from headwater.connectors.pipedrive.errors import error_of
from headwater.connectors.pipedrive.kinds import KINDS
from headwater.connectors.pipedrive.wire import delete_request

_DONE: Final = frozenset({200, 204})
_OWN_FAULT: Final = frozenset({ErrorClass.VALIDATION, ErrorClass.FORMAT, ErrorClass.CONFLICT})


class PipedriveRemovals:
    """Deletes the records of one account, one a call."""

    def __init__(self, send: Callable[[Request], Awaitable[Answer]]) -> None:
        self._send = send

    async def remove(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Delete records; see the port."""
        stay: dict[str, VendorError] = {}
        for crm_id in crm_ids:
            answer = await self._send(delete_request(KINDS[crm_object], crm_id))
            if answer.status in _DONE:
                continue
            error = error_of(answer, writes=True)
            if error.error_class in _OWN_FAULT:
                stay[crm_id] = error
            elif error.error_class is not ErrorClass.NOT_FOUND:
                raise CallFailed(error)
        return stay
