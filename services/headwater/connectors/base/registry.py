"""Finding vendors by entry point, so that a third party's package works without touching ours."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final, cast

from headwater.connectors.base.port import Vendor
from headwater.kernel.errors import InvalidInput

GROUP: Final = "headwater.connectors"


def vendor_names() -> tuple[str, ...]:
    """Return the names of all installed vendors, sorted."""
    return tuple(sorted(entry.name for entry in entry_points(group=GROUP)))


def load_vendor(name: str) -> Vendor:
    """Return the vendor called *name*.

    Raises:
        InvalidInput: no installed package provides it.
    """
    for entry in entry_points(group=GROUP, name=name):
        return cast("Vendor", entry.load())
    known = ", ".join(vendor_names()) or "none"
    raise InvalidInput(f"vendor {name!r} is not installed (known: {known})", reason="UNKNOWN_VENDOR")
