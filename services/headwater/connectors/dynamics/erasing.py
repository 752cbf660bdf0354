"""Erasing Dynamics 365 records: deleting one is for good where the environment keeps no deleted records.

Source: Dataverse, Delete table rows using the Web API; Restore deleted records (off unless an administrator turns it on).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from headwater.connectors.base import CallFailed, VendorError
from headwater.connectors.base.http import Answer, Request
from headwater.connectors.dynamics.batching import Operation, batch_request, read_batch
from headwater.connectors.dynamics.errors import error_of
from headwater.connectors.dynamics.schema import Table
from headwater.connectors.dynamics.wire import API

_OK: Final = 200
_DONE: Final = frozenset({200, 204, 404})


class DynamicsErasures:
    """Deletes the records of one environment.

    Args:
        table: describes a table by its logical name.
    """

    def __init__(
        self, send: Callable[[Request], Awaitable[Answer]], table: Callable[[str], Awaitable[Table]]
    ) -> None:
        self._send = send
        self._table = table

    def method(self, crm_object: str) -> str:
        """Return how it is done; see the port."""
        return f"delete of {crm_object}: an environment that keeps deleted records drops it at the end of their days"

    async def erase(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Delete records; see the port."""
        table = await self._table(crm_object)
        operations = [Operation("DELETE", f"{API}/{table.entity_set}({crm_id})") for crm_id in crm_ids]
        answer = await self._send(batch_request(API, operations))
        told = read_batch(answer) if answer.status == _OK else []
        if len(told) != len(crm_ids):
            raise CallFailed(error_of(answer, writes=True))
        return {
            crm_id: error_of(one, writes=True)
            for crm_id, one in zip(crm_ids, told, strict=True)
            if one.status not in _DONE
        }
