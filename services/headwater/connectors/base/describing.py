"""The port of a vendor that tells how its objects are made, and which versions of its API are served.

Asked by the monthly review: a field whose type has changed, a value that a picklist no longer offers, or a version that
is no longer served shows before writes fail by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class FieldShape:
    """How one field is made.

    Args:
        type: the vendor's word.
        options: values that it may have; none: any.
        required: a new record must have it, and the vendor does not fill it by itself.
        writable: the connected user may write it.
    """

    type: str
    options: tuple[str, ...] = ()
    required: bool = False
    writable: bool = True


@dataclass(frozen=True, slots=True)
class ApiVersions:
    """Versions of a vendor's API.

    Args:
        used: by this account.
        served: all that are, the oldest first.
    """

    used: str
    served: tuple[str, ...]


@runtime_checkable
class Describing(Protocol):
    """A connector that can be asked how objects are made. Each method is a call, and may raise CallFailed."""

    async def schema(self, crm_object: str) -> Mapping[str, FieldShape]:
        """Return every field that the connected user may see, by name."""
        ...

    async def api_versions(self) -> ApiVersions | None:
        """Return which versions are served; None where the vendor does not tell: then nothing is asked."""
        ...
