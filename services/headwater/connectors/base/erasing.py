"""Erasing records of a CRM for good, beyond its bin where the vendor has a way: for people who ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from headwater.connectors.base.errors import VendorError


class Erasing(Protocol):
    """What a connector offers beside deliveries where a person's record can be erased."""

    def method(self, crm_object: str) -> str:
        """Return in words how records of *crm_object* are erased, and what the vendor keeps: for the certificate."""
        ...

    async def erase(self, crm_object: str, crm_ids: Sequence[str]) -> Mapping[str, VendorError]:
        """Erase records (1..50, distinct), those in the bin among them; return why, by id, those that stay. Idempotent.

        A record that is gone already counts as erased.
        Raises: CallFailed; IN_DOUBT when some may be erased: the same call may be made again.
        """
        ...


@runtime_checkable
class Erasable(Protocol):
    """A connector whose vendor lets records be erased."""

    @property
    def erasing(self) -> Erasing:
        """The part of the connector that erases, on the same account and gate."""
        ...
