"""Putting records of a CRM into its bin: the part of a connector that does it where its vendor has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from headwater.connectors.base.errors import VendorError


class Removing(Protocol):
    """What a connector offers beside deliveries when its vendor keeps what is deleted in a bin."""

    async def remove(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Put records (1..100, distinct) into the bin; return why, by id, those that stay. Idempotent.

        A record that is gone already counts as removed.
        Raises: CallFailed; IN_DOUBT when some may be removed: the same call may be made again.
        """
        ...


@runtime_checkable
class Removable(Protocol):
    """A connector whose vendor keeps what is deleted in a bin."""

    @property
    def removing(self) -> Removing:
        """The part of the connector that removes, on the same account and gate."""
        ...
