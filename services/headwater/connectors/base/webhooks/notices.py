"""The port of a scheme whose vendor sends notices: bodies that name records of the CRM, to be fetched. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Notice:
    """One record of which something was told.

    Args:
        crm_object: as a policy's `target` names it.
        crm_id: empty where the body should name it and does not.
        time_us: when it happened, microseconds since 1970, the same in every sending; None where the body does not say.
    """

    crm_object: str
    crm_id: str
    time_us: int | None


@runtime_checkable
class Noticing(Protocol):
    """A scheme that reads its vendor's own bodies."""

    def notices(self, body: Any) -> Sequence[Notice]:
        """Return the records that a verified body names, each once for each time; what concerns no record is left out.

        Args:
            body: decoded JSON, of any shape.
        """
        ...
